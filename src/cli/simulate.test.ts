import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { consort, json, testApi } from "#cli/cli.fixture.ts";
import { readTraces } from "#cli/simulate-files.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import { hostRecordsOf } from "#sim/host-records.ts";

const scenario = `scenario: small
duration: 20s
cloud: {hosts: [a, b]}
steps:
  - {at: 2s, up: {ensemble: shop, appliances: {web: {command: stay, replicas: 2, cpu: 40%}}}}
  - {at: 10s, expect: [running 2, up shop done]}
`;

const topology = defaultLabTopology(1, 2);
const snapshot: CloudSnapshot = {
  format: "consort-snapshot/1",
  takenAtMs: 0,
  topology,
  hosts: hostRecordsOf(topology),
  standings: {},
  ensembles: [],
  tunnels: {},
  cpuUsedMilli: {},
};

test("a scenario from standard input is played: chart, decisions, events, verdict", async () => {
  const { exit, out, err } = await consort(["simulate", "-"], { input: scenario });
  assert.equal(exit, 0, err);
  assert.match(out, /CPU given over time/);
  assert.match(out, /shop\/web-1 +- +[ab]\n/);
  assert.match(out, /operation.done/);
  assert.match(out, /2 of 2 expectations met\nEvery invariant held, looked at after every event/);
  assert.match(out, /small, seed 1: 20s of 2 hosts, \d+ events, run \S+ in/);
});

test("--json tells all of it, the same for the same seed, and --until ends when it says", async () => {
  const [one, two] = [
    await consort(["simulate", "-", "--json", "--seed", "7"], { input: scenario }),
    await consort(["simulate", "-", "--json", "--seed", "7"], { input: scenario }),
  ];
  assert.equal(one.out, two.out);
  const result = JSON.parse(one.out) as { seed: number; simulatedMs: number; cpu: { hosts: unknown } };
  assert.equal(result.seed, 7);
  assert.equal(result.simulatedMs, 20_000);
  assert.deepEqual(Object.keys(result.cpu.hosts as object), ["a", "b"]);
  const short = await consort(["simulate", "-", "--json", "--until", "5s"], { input: scenario });
  assert.equal((JSON.parse(short.out) as { simulatedMs: number }).simulatedMs, 5000);
});

test("--trace prints every event, and --svg writes the chart", async () => {
  const folder = mkdtempSync(join(tmpdir(), "consort-simulate-"));
  try {
    const file = join(folder, "chart.svg");
    const { out } = await consort(["simulate", "-", "--trace", "--svg", file], { input: scenario });
    const events = Number(/(\d+) events, run/.exec(out)?.[1]);
    assert.ok(out.split("\n").length > events, `${out.split("\n").length} lines of ${events} events`);
    assert.match(readFileSync(file, "utf8"), /^<svg .*<title>shop\/web-1<\/title>/s);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("--from-live plays the file's steps on the cloud the manager tells of", async () => {
  await using api = await testApi({ "GET /v1/snapshot": json(snapshot) });
  const steps = scenario.replace("cloud: {hosts: [a, b]}\n", "");
  const { exit, out, err } = await consort(["simulate", "--from-live", "-"], { url: api.url, input: steps });
  assert.equal(exit, 0, err);
  assert.match(out, /shop\/web-1 +- +a[12]\n/);
  const alone = await consort(["simulate", "--from-live"], { url: api.url });
  assert.equal(alone.exit, 0, alone.err);
  assert.match(alone.out, /live, seed 1: 1m of 2 hosts/);
  assert.ok(api.asked.every(({ method, url }) => method === "GET" && url === "/v1/snapshot"));
});

test("--snapshot starts from a file, and says what is wrong with it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "consort-simulate-"));
  try {
    const file = join(folder, "cloud.json");
    writeFileSync(file, JSON.stringify(snapshot));
    const good = await consort(["simulate", "--snapshot", file, "--until", "10s"]);
    assert.equal(good.exit, 0, good.err);
    writeFileSync(file, "{}");
    const bad = await consort(["simulate", "--snapshot", file]);
    assert.equal(bad.exit, 2);
    assert.match(bad.err, /no snapshot/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("--swarm runs random clouds, one a seed, the same ones again", async () => {
  const [one, two] = [
    await consort(["simulate", "--swarm", "--seeds", "11..12", "--json"]),
    await consort(["simulate", "--swarm", "--seeds", "11..12", "--json"]),
  ];
  assert.equal(one.out, two.out);
  const { seeds } = JSON.parse(one.out) as { seeds: { seed: number; traceHash: string }[] };
  assert.deepEqual(
    seeds.map(({ seed }) => seed),
    [11, 12],
  );
  assert.notEqual(seeds[0]?.traceHash, seeds[1]?.traceHash);
});

test("Ctrl-C ends it with what was seen so far", async () => {
  const interrupt = AbortSignal.abort();
  const { exit, out } = await consort(["simulate", "-"], { input: scenario, interrupt });
  assert.equal(exit, 1);
  assert.match(out, /interrupted/);
  const swarm = await consort(["simulate", "--swarm", "--seeds", "1..9"], { interrupt });
  assert.equal(swarm.exit, 1);
  assert.match(swarm.out, /0 seeds, 0 broken; .*interrupted, 9 not run/);
});

test("what does not go together is refused", async () => {
  for (const [args, wanted] of [
    [[], /no scenario is given/],
    [["x.yaml", "--seeds", "5..1"], /--seeds is "5..1"/],
    [["x.yaml", "--swarm"], /--swarm draws its own scenario/],
    [["-", "--until", "soon"], /--until is "soon"/],
    [["--from-live", "--snapshot", "x.json"], /wanted one/],
    [["--swarm", "--from-live"], /--swarm and --from-live do not go together/],
    [["--swarm", "--svg", "x.svg"], /--swarm and --svg do not go together/],
    [["-", "--seed", "2", "--seeds", "1..3"], /--seed and --seeds do not go together/],
    [["-", "--svg", "x.svg", "--seeds", "1..3"], /--svg and --seeds do not go together/],
    [["-", "--trace", "--seeds", "1..3"], /--trace and --seeds do not go together/],
    [["-", "--trace", "--json"], /--trace and --json do not go together/],
    [["missing.yaml"], /there is no such file/],
  ] as const) {
    const { exit, err, out } = await consort(["simulate", ...args], { input: scenario });
    assert.equal(exit, 2, args.join(" "));
    assert.match(err + out, wanted);
  }
});

const misnamed = `scenario: bad
duration: 1m
cloud: {hosts: 2}
steps:
  - {at: 1s, up: {ensemble: shop, appliances: {web: {command: stay, replicas: 4}}}}
  - {at: 2s, down: shopp}
  - {at: 3s, cordon: [a1, a9]}
  - {at: 4s, powerLoss: a7}
  - {at: 4s, pause: host/zz}
  - {at: 4s, partition: a8}
  - {at: 4s, cut: {from: host/a1, to: cluster/2}}
  - {at: 5s, expect: [wbe gone, web-1 not on a9, web running, shop/web-4 running, host gw-alpha ready]}
  - {at: 5s, clockSkew: {place: stor, jump: 1s}}
  - {at: 6s, cancel: shoq}
  - {at: 7s, expect: [up job-3 done, job-12/run gone, run gone, cordon a1 refused]}
load:
  - {ensemble: {ensemble: job, appliances: {run: {command: stay}}}, rate: 1/h}
demand: [{of: webb, constant: 10%}, {of: web, constant: 10%}, {of: "we*", constant: 10%}]
`;

test("names that the cloud does not have are told before the run, all at once and with their places", async () => {
  const { exit, err, out } = await consort(["simulate", "-"], { input: misnamed });
  assert.equal(exit, 2, out);
  assert.deepEqual(
    err.split("\n").flatMap((line) => {
      const [, place, message] = /stdin\.yaml:(\d+:\d+) \S+ (.*)$/.exec(line) ?? [];
      return place === undefined ? [] : [`${place} ${message}`];
    }),
    [
      '6:20 no ensemble "shopp" in this cloud; did you mean "shop"?',
      '7:27 no host "a9" in this cloud; did you mean "a1"?',
      '8:25 no host "a7" in this cloud; did you mean "a1"?',
      '9:21 no process "host/zz" in this cloud; did you mean "host/a1"?',
      '10:25 no host "a8" in this cloud; did you mean "a1"?',
      '11:39 no process "cluster/2" in this cloud; did you mean "cluster/1"?',
      '12:23 no appliance or ensemble "wbe" in this cloud; did you mean "web"?',
      '12:33 no host "a9" in this cloud; did you mean "a1"?',
      '13:33 no place "stor" in this cloud; did you mean "store"?',
      '14:22 no ensemble or host "shoq" in this cloud; did you mean "shop"?',
      '18:15 no appliance or ensemble "webb" in this cloud; did you mean "web"?',
    ],
  );
});

test("names are those of the cloud it starts from, not of the file's own", async () => {
  await using api = await testApi({ "GET /v1/snapshot": json(snapshot) });
  const input = "scenario: s\nduration: 20s\ncloud: {hosts: [x]}\nsteps:\n  - {at: 5s, powerLoss: x}\n";
  const { exit, err } = await consort(["simulate", "--from-live", "-"], { url: api.url, input });
  assert.equal(exit, 2);
  assert.match(err, /stdin\.yaml:5:\d+ steps\[0\]\.powerLoss: no host "x" in this cloud/);
  assert.equal((await consort(["simulate", "-"], { input })).exit, 0);
});

const refusals = (expectation: string): string => `scenario: s
duration: 20s
cloud: {hosts: [a, b]}
steps:
  - {at: 5s, forget: a${expectation}}
`;

test("a step that is refused is a failure, unless the scenario expects it", async () => {
  const wrong = await consort(["simulate", "-"], { input: refusals("") });
  assert.equal(wrong.exit, 1);
  assert.match(wrong.out, /! 5s +forget a was refused: Cannot forget a/);
  assert.match(wrong.out, /1 step refused, and not expected to be/);
  const many = await consort(["simulate", "-", "--seeds", "1..2", "--json"], { input: refusals("") });
  assert.equal(many.exit, 1);
  const [first] = JSON.parse(many.out) as { refused: { subject: string }[] }[];
  assert.equal(first?.refused[0]?.subject, "a");
  for (const expectation of [", expect: refused", "}\n  - {at: 10s, expect: forget a refused"]) {
    const right = await consort(["simulate", "-"], { input: refusals(expectation) });
    assert.equal(right.exit, 0, right.out + right.err);
    assert.match(right.out, /1 of 1 expectation met/);
    assert.doesNotMatch(right.out, / ! |not expected to be/);
  }
  const made = await consort(["simulate", "-"], {
    input: refusals("").replace("forget: a", "cordon: a, expect: refused"),
  });
  assert.equal(made.exit, 1);
  assert.match(made.out, /x 5s +expected: cordon a refused; but it was answered/);
});

test("what cannot be written is told before the run, and the chart is written after the report", async () => {
  const { exit, err, out } = await consort(["simulate", "-", "--svg", "/nonexistent/x.svg"], {
    input: scenario,
  });
  assert.equal(exit, 2);
  assert.match(err, /Cannot write \/nonexistent\/x\.svg: there is no folder \/nonexistent/);
  assert.equal(out, "");
});

test("--until ends later, too: load goes on, and the line that runs it again says so", async () => {
  const loaded = `${scenario.replace("running 2", "running 99")}load:
  - {ensemble: {ensemble: job, appliances: {run: {command: stay}}}, rate: 1/s, lifetime: 2s}
`;
  const { out } = await consort(["simulate", "-", "--until", "40s"], { input: loaded });
  assert.match(out, /small, seed 1: 40s of 2 hosts/);
  assert.match(out, /3\d(?:\.\d+)?s +job-\d+\/run +- +[ab]\n/);
  const many = await consort(["simulate", "-", "--until", "40s", "--seeds", "1..2"], { input: loaded });
  assert.match(many.out, /again: consort simulate - --until 40s --seed 1\n/);
});

test("traces are read from a folder and from an archive, in the order of their names", async () => {
  const folder = join(import.meta.dirname, "../../examples/planetlab");
  const work = mkdtempSync(join(tmpdir(), "consort-simulate-"));
  try {
    const archive = join(work, "day.tar.gz");
    execFileSync("tar", ["-czf", archive, "-C", join(folder, ".."), "planetlab"]);
    const [fromFolder, fromArchive] = [await readTraces(folder), await readTraces(archive)];
    assert.equal(fromFolder.length, 16);
    assert.deepEqual(
      fromArchive.map(({ percents }) => percents),
      fromFolder.map(({ percents }) => percents),
    );
    await assert.rejects(readTraces(work), /expected a whole number|no tar archive|it has none|Cannot use/);
    await assert.rejects(readTraces(join(work, "nothing")), /Cannot read traces/);
  } finally {
    rmSync(work, { recursive: true });
  }
});

test("validate reads scenario files by their names", async () => {
  const examples = join(import.meta.dirname, "../../examples");
  const good = await consort(["validate", join(examples, "lose-a-host.scenario.yaml")]);
  assert.match(good.out, /scenario lose-a-host is valid: 11 steps/);
  const work = mkdtempSync(join(tmpdir(), "consort-simulate-"));
  try {
    const file = join(work, "bad.scenario.yaml");
    writeFileSync(file, "scenario: bad\nduration: 10\n");
    const bad = await consort(["validate", file]);
    assert.equal(bad.exit, 2);
    assert.match(bad.err, /bad.scenario.yaml:2:11 duration/);
  } finally {
    rmSync(work, { recursive: true });
  }
});
