import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { consort, json, nowMs, testApi } from "#cli/cli.fixture.ts";
import { systemClock } from "#drivers/system/clock.ts";
import type { EnsembleStatus, Event, HostStatus } from "#protocol/http/status.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Explanation } from "#protocol/http/plan.ts";

const shop: EnsembleStatus = {
  name: "shop",
  state: "degraded",
  message: "db restarts",
  revision: 3,
  appliances: [
    {
      ensemble: "shop",
      name: "web-1",
      kind: "task",
      host: "a1",
      site: "alpha",
      state: "running",
      restarts: 0,
      startedAtMs: nowMs - 90_000,
      addresses: [{ network: "lan", address: "10.77.0.2", mac: "02:c0:00:00:00:01" }],
      cpuReservedMilli: 250,
      cpuUsedMilli: 125,
      memoryLimitBytes: 67_108_864,
      memoryUsedBytes: 1_048_576,
    },
    {
      ensemble: "shop",
      name: "db",
      kind: "task",
      host: "b1",
      state: "backoff",
      message: "exit code 1",
      restarts: 2,
      addresses: [],
      cpuUsedMilli: 0,
      memoryUsedBytes: 0,
    },
  ],
  networks: [{ name: "lan", subnet: "10.77.0.0/24", vni: 17, mtu: 1370 }],
  links: [
    {
      from: "shop/web-1",
      to: "shop/db",
      network: "shop/lan",
      connection: "inter-router",
      path: ["a1", "sw-alpha", "gw-alpha", "r", "gw-beta", "sw-beta", "b1"],
      bandwidthBps: 16_000_000,
      forwardBps: 15_300_000,
      backwardBps: 80_000,
      forwardBytes: 1,
      backwardBytes: 2,
    },
  ],
};

const a1: HostStatus = {
  id: "a1",
  site: "alpha",
  role: "host",
  state: "ready",
  scheduling: "open",
  fenced: false,
  address: "172.30.1.11",
  labels: { disk: "ssd" },
  cpuMilli: 500,
  cpuReservedMilli: 250,
  cpuUsedMilli: 125,
  memoryBytes: 1_073_741_824,
  memoryReservedBytes: 67_108_864,
  memoryUsedBytes: 1_048_576,
  uplinkBps: 1_000_000_000,
  appliances: 1,
  tunnels: [{ peerSite: "beta", kind: "wireguard", up: true }],
  lastSeenMs: nowMs - 400,
  problems: [],
};

const recovery: Operation = {
  id: "op-7",
  kind: "recover",
  ensemble: "shop",
  state: "running",
  phase: "starting",
  progress: { done: 1, total: 2 },
  message: "waiting for db",
  createdAtMs: nowMs - 2_000,
};
const drain: Operation = {
  id: "op-8",
  kind: "drain",
  host: "a1",
  state: "running",
  phase: "moving",
  progress: { done: 0, total: 1 },
  message: "",
  createdAtMs: nowMs - 1_000,
};
const ended: Operation = {
  ...recovery,
  id: "op-6",
  state: "done",
  createdAtMs: nowMs - 60_000,
  endedAtMs: nowMs - 57_500,
};

const answers = {
  "GET /v1/ensembles": json([shop]),
  "GET /v1/ensembles/shop": json(shop),
  "GET /v1/hosts": json([a1]),
  "GET /v1/operations": json([ended]),
};
const underWay = { ...answers, "GET /v1/operations": json([ended, recovery, drain]) };

test("ps lists ensembles with how many of their appliances run", async () => {
  await using api = await testApi(answers);
  const { exit, out } = await consort(["ps"], { url: api.url });
  assert.equal(exit, 0);
  assert.equal(
    out,
    [
      "ENSEMBLE  STATE     READY  NETWORKS  LINKS  HOSTS  MESSAGE",
      "shop      degraded    1/2         1      1  a1,b1  db restarts",
      "",
    ].join("\n"),
  );
});

test("ps NAME lists its appliances, and --json is the API's answer", async () => {
  await using api = await testApi(answers);
  const { out } = await consort(["ps", "shop"], { url: api.url });
  assert.equal(
    out,
    [
      "APPLIANCE   KIND  STATE    HOST    AGE  RESTARTS    CPU  MEMORY  ADDRESSES  MESSAGE",
      "shop/web-1  task  running  a1    1m30s         0  12.5%    1MiB  10.77.0.2",
      "shop/db     task  backoff  b1        -         2     0%      0B             exit code 1",
      "",
      "shop is degraded: db restarts",
      "",
    ].join("\n"),
  );
  const machine = await consort(["ps", "shop", "--json"], { url: api.url });
  assert.deepEqual(JSON.parse(machine.out), shop);
});

test("ps counts what has ended well as ready, as up does", async () => {
  const [web, db] = shop.appliances;
  const states = (...two: string[]) => [
    { ...web!, state: two[0]! },
    { ...db!, state: two[1]! },
  ];
  for (const [state, ready] of [
    ["exited", "2/2"],
    ["failed", "1/2"],
    ["lost", "1/2"],
  ] as const) {
    const one = { ...shop, appliances: states("running", state) };
    await using api = await testApi({ ...answers, "GET /v1/ensembles": json([one]) });
    const { out } = await consort(["ps"], { url: api.url });
    assert.match(out, new RegExp(`\\nshop +degraded +${ready} `), state);
  }
});

test("describe tells what an appliance waits for and how it restarts, and of none that does not run how long it does", async () => {
  const waits = { ...shop.appliances[0]!, state: "lost", message: "waits for a1", restart: "in-place" };
  const appliances = [waits, shop.appliances[1]!];
  await using api = await testApi({ ...answers, "GET /v1/ensembles/shop": json({ ...shop, appliances }) });
  const { out } = await consort(["describe", "shop/web-1"], { url: api.url });
  assert.match(out, /message: +waits for a1\n/);
  assert.match(out, /restart: +in-place\n/);
  assert.doesNotMatch(out, /running for/);
});

test("ps shows the changes under way, and of one ensemble its own and those of its hosts", async () => {
  const elsewhere = { ...drain, id: "op-9", host: "c1" };
  await using api = await testApi({
    ...underWay,
    "GET /v1/operations": json([ended, recovery, drain]),
    "GET /v1/ensembles/shop": json({ ...shop, message: recovery.message }),
  });
  const all = await consort(["ps"], { url: api.url });
  assert.ok(
    all.out.endsWith(
      "\nUnder way:\n  recover shop: starting 1/2: waiting for db (op-7)\n  drain a1: moving 0/1 (op-8)\n",
    ),
    all.out,
  );
  const one = await consort(["ps", "shop"], { url: api.url });
  assert.ok(
    one.out.endsWith(
      "\n\nUnder way:\n  recover shop: starting 1/2: waiting for db (op-7)\n  drain a1: moving 0/1 (op-8)\n",
    ),
    one.out,
  );
  assert.doesNotMatch(one.out, /shop is degraded/);
  await using other = await testApi({ ...answers, "GET /v1/operations": json([elsewhere]) });
  assert.doesNotMatch((await consort(["ps", "shop"], { url: other.url })).out, /Under way/);
  assert.equal((await consort(["ps", "-q"], { url: other.url })).out, "shop\n");
});

test("ps, describe and top show an appliance that is fenced and the recovery of its ensemble", async () => {
  const appliances = shop.appliances.map((one) => ({ ...one, state: "fenced" }));
  await using api = await testApi({
    ...underWay,
    "GET /v1/ensembles": json([{ ...shop, appliances }]),
    "GET /v1/ensembles/shop": json({ ...shop, appliances }),
  });
  for (const args of [["ps", "shop"], ["describe", "shop"], ["describe", "shop/db"], ["top"]]) {
    const { exit, out } = await consort(args, { url: api.url });
    assert.equal(exit, 0, args.join(" "));
    assert.match(out, /fenced/);
    assert.match(out, /recover shop: starting 1\/2: waiting for db \(op-7\)/);
    assert.doesNotMatch(out, /op-6/);
  }
});

test("operations names the ensemble or the host that each is about", async () => {
  await using api = await testApi(underWay);
  const { out } = await consort(["operations"], { url: api.url });
  assert.equal(
    out,
    [
      "OPERATION  WHAT          STATE    PHASE     READY  AGE   TOOK  MESSAGE",
      "op-6       recover shop  done     -           1/2   1m  2.50s  waiting for db",
      "op-7       recover shop  running  starting    1/2   2s      -  waiting for db",
      "op-8       drain a1      running  moving      0/1   1s      -",
      "",
    ].join("\n"),
  );
});

test("hosts shows those that take nothing new or are fenced, and with --quiet ids alone", async () => {
  const gone: HostStatus = { ...a1, id: "a2", state: "lost", fenced: true, lastSeenMs: nowMs - 9000 };
  const draining: HostStatus = { ...a1, id: "b1", site: "beta", scheduling: "draining" };
  await using api = await testApi({ ...underWay, "GET /v1/hosts": json([draining, gone, a1]) });
  const lines = (await consort(["hosts"], { url: api.url })).out.split("\n");
  assert.match(lines[0] ?? "", /^HOST +SITE +ROLE +STATE +SCHEDULING +RUNS /);
  assert.match(lines[1] ?? "", /^a1 +alpha +host +ready +- +1 /);
  assert.match(lines[2] ?? "", /^a2 +alpha +host +lost 9s, fenced +- +1 /);
  assert.match(lines[3] ?? "", /^b1 +beta +host +ready +draining +1 /);
  assert.equal((await consort(["hosts", "-q"], { url: api.url })).out, "a1\na2\nb1\n");
  assert.equal((await consort(["hosts", "-q", "--role", "gateway"], { url: api.url })).out, "");
  assert.equal((await consort(["hosts", "-q", "--role", "router"], { url: api.url })).exit, 2);
  const fenced = await consort(["describe", "host/a2"], { url: api.url });
  assert.match(fenced.out, /fenced: +yes: what it ran was given to other hosts/);
  assert.doesNotMatch(fenced.out, /Under way/);
  const drained = await consort(["describe", "host/a1"], { url: api.url });
  assert.match(drained.out, /drain a1: moving 0\/1 \(op-8\)/);
});

test("hosts shows what is promised and used of each, site by site, gateways last", async () => {
  const gateway: HostStatus = { ...a1, id: "gw-alpha", role: "gateway", cpuMilli: 0 };
  const lost: HostStatus = { ...a1, id: "a10", state: "lost", lastSeenMs: nowMs - 9000 };
  await using api = await testApi({ "GET /v1/hosts": json([gateway, lost, a1]) });
  const { out } = await consort(["hosts"], { url: api.url });
  assert.equal(
    out,
    [
      "HOST      SITE   ROLE     STATE    RUNS         CPU   USED         MEMORY  USED",
      "a1        alpha  host     ready       1  25% of 50%  12.5%  64MiB of 1GiB  1MiB",
      "a10       alpha  host     lost 9s     1  25% of 50%  12.5%  64MiB of 1GiB  1MiB",
      "gw-alpha  alpha  gateway  ready       -           -      -              -     -",
      "",
    ].join("\n"),
  );
});

test("describe knows ensembles, appliances and hosts, and suggests names", async () => {
  await using api = await testApi(answers);
  const ensemble = await consort(["describe", "shop"], { url: api.url });
  assert.match(ensemble.out, /network lan: +10\.77\.0\.0\/24, VXLAN 17, MTU 1370/);
  assert.match(ensemble.out, /web-1 – db +lan +16Mbit\/s +15\.3Mbit\/s +80kbit\/s/);
  const appliance = await consort(["describe", "shop/web-1", "--json"], { url: api.url });
  assert.deepEqual(JSON.parse(appliance.out), { ...shop.appliances[0], links: shop.links });
  const host = await consort(["describe", "host/a1"], { url: api.url });
  assert.match(host.out, /tunnel to beta: +wireguard, up/);
  const wrong = await consort(["describe", "shop/web1"], { url: api.url });
  assert.equal(wrong.exit, 1);
  assert.match(wrong.err, /no such appliance of shop; did you mean "web-1"\?/);
  assert.match((await consort(["describe", "a1"], { url: api.url })).err, /did you mean host\/a1\?/);
  assert.doesNotMatch((await consort(["describe", "a9"], { url: api.url })).err, /did you mean/);
});

test("top once, without a terminal, shows hosts, appliances and links", async () => {
  await using api = await testApi(answers);
  const { exit, out } = await consort(["top"], { url: api.url });
  assert.equal(exit, 0);
  assert.match(out, /a1 +ready +12\.5% of 50% +0%/);
  assert.match(out, /shop\/web-1 +a1 +running +12\.5% +25% +1MiB +64MiB/);
  assert.match(out, /shop: web-1 – db +inter-router +16Mbit\/s +15\.3Mbit\/s +80kbit\/s/);
});

test("top and describe show what an appliance sends and gets, against what is promised, and its teams", async () => {
  const [web, ...others] = shop.appliances;
  assert.ok(web !== undefined);
  const busy = {
    ...web,
    network: { inBytes: 10, outBytes: 20, inBps: 2e6, outBps: 12e6 },
    traffic: { serviceClass: "gold", outBps: 40e6 },
    teams: [
      { name: "films", policy: "round-robin", jobs: 3, executionUs: 2000, periodUs: 10_000 },
      { name: "films/spare", policy: "together", jobs: 1 },
    ],
  };
  await using api = await testApi({
    ...answers,
    "GET /v1/ensembles": json([{ ...shop, appliances: [busy, ...others] }]),
    "GET /v1/ensembles/shop": json({ ...shop, appliances: [busy, ...others] }),
  });
  const top = await consort(["top"], { url: api.url });
  assert.match(top.out, /12Mbit\/s of 40Mbit\/s +2Mbit\/s/);
  const described = await consort(["describe", "shop/web-1"], { url: api.url });
  assert.match(described.out, /sends now: +12Mbit\/s/);
  assert.match(described.out, /team films: +3 programs, round-robin, 2ms\/10ms/);
  assert.match(described.out, /team films\/spare: +1 program, together, what others leave/);
});

test("--watch repeats until Ctrl-C, which is its ordinary end; --json gives one line a look", async () => {
  const stop = new AbortController();
  let looks = 0;
  await using api = await testApi({
    "GET /v1/hosts": (asked, response) => {
      looks += 1;
      if (looks === 3) stop.abort(new Error("interrupted"));
      json([a1])(asked, response);
    },
  });
  const { exit, out } = await consort(["hosts", "--watch", "--json"], {
    url: api.url,
    interrupt: stop.signal,
  });
  assert.equal(exit, 0);
  assert.equal(out.trim().split("\n").length, 2);
});

test("explain marks where an appliance is among the hosts weighed", async () => {
  const explanation: Explanation = {
    ensemble: "shop",
    appliances: [
      {
        appliance: "shop/web-1",
        host: "a1",
        candidates: [
          { host: "a1", score: 1.25, verdict: "chosen" },
          { host: "a2", score: 9, verdict: "CPU: 300m wanted, 100m free" },
        ],
        binding: "CPU of a1",
      },
    ],
    links: [
      { from: "shop/web-1", to: "shop/db", connection: "direct", path: ["a1", "b1"], binding: "a1-b1" },
    ],
  };
  await using api = await testApi({ "GET /v1/ensembles/shop/explanation": json(explanation) });
  const { out } = await consort(["explain", "shop"], { url: api.url });
  assert.equal(
    out,
    [
      "shop/web-1 is on a1",
      "Binding: CPU of a1",
      "   HOST  SCORE  VERDICT",
      "*  a1     1.25  chosen",
      "   a2        9  CPU: 300m wanted, 100m free",
      "",
      "LINK        CONNECTION  BINDING  PATH",
      "web-1 – db  direct      a1-b1    a1 > b1",
      "",
    ].join("\n"),
  );
  const one = await consort(["explain", "shop/web-1"], { url: api.url });
  assert.equal(one.out, out);
  const wrong = await consort(["explain", "shop/web1"], { url: api.url });
  assert.equal(wrong.exit, 1);
  assert.match(wrong.err, /no such appliance of shop; did you mean "web-1"\?/);
});

test("events prints what is kept and ends; --follow resumes after a break where it was", async () => {
  const event = (cursor: number): Event => ({
    cursor,
    atMs: nowMs,
    kind: "appliance.running",
    subject: "shop/web-1",
    message: "started on a1",
  });
  const stop = new AbortController();
  let streams = 0;
  await using api = await testApi({
    "GET /v1/events": ({ url }, response) => {
      streams += 1;
      const after = Number(new URL(url, "http://x").searchParams.get("after"));
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const cursor of [after + 1, after + 2])
        response.write(`id: ${cursor}\nevent: event\ndata: ${JSON.stringify(event(cursor))}\n\n`);
      if (streams === 2) setImmediate(() => response.destroy());
    },
  });
  const kept = await consort(["events", "--after", "6"], { url: api.url, clock: systemClock() });
  assert.equal(kept.exit, 0);
  assert.equal(
    kept.out.split("\n")[0],
    "7  15:06:40.000  appliance.running    shop/web-1        started on a1",
  );
  let told = "";
  const followed = consort(["events", "--follow", "--json"], { url: api.url, interrupt: stop.signal });
  while (api.asked.length < 3) await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error("interrupted"));
  const outcome = await followed;
  told = outcome.out;
  assert.equal(outcome.exit, 0);
  assert.match(api.asked[2]?.url ?? "", /after=2$/);
  assert.deepEqual(
    told
      .trim()
      .split("\n")
      .slice(0, 2)
      .map((line) => (JSON.parse(line) as Event).cursor),
    [1, 2],
  );
});

test("logs of an appliance that wrote nothing say what it does instead", async () => {
  await using api = await testApi({
    ...answers,
    "GET /v1/ensembles/shop/appliances/db/log": (_asked, response) => void response.end(""),
  });
  const { exit, out, err } = await consort(["logs", "shop/db"], { url: api.url });
  assert.deepEqual({ exit, out }, { exit: 0, out: "" });
  assert.equal(err, "shop/db has written nothing; it is backoff: exit code 1\n");
});

test("the manager of a lab is found by its api.json, and the token sent", async () => {
  await using api = await testApi(answers);
  const runRoot = await mkdtemp(join(tmpdir(), "consort-cli-"));
  try {
    await mkdir(join(runRoot, "labs", "red"), { recursive: true });
    const tokenFile = join(runRoot, "token");
    await writeFile(tokenFile, "secret\n");
    await writeFile(join(runRoot, "labs", "red", "api.json"), JSON.stringify({ url: api.url, tokenFile }));
    const { exit } = await consort(["hosts", "--lab", "red"], { runRoot, url: "http://127.0.0.1:1" });
    assert.equal(exit, 0);
    assert.equal(api.asked[0]?.token, "Bearer secret");
    await rm(tokenFile);
    const without = await consort(["hosts", "--lab", "red"], { runRoot });
    assert.equal(without.exit, 1);
    assert.match(without.err, /Cannot read the access token in .*: there is no such file/);
  } finally {
    await rm(runRoot, { recursive: true });
  }
});
