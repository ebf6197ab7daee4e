import assert from "node:assert/strict";
import { test } from "node:test";
import { consort, json, testApi } from "#cli/cli.fixture.ts";
import type { Outcome } from "#cli/cli.fixture.ts";
import type { FinishedRun, RunRequest } from "#drivers/profile/port.ts";
import { parseEnsemble } from "#formats/ensemble.ts";

/** A program that works 5.68 ms of every 40, as the reference's video stream does, and sends 1214 kbit/s. */
function run(fields: Partial<FinishedRun> = {}, partMore = 0): FinishedRun {
  const workMs = 5.68 * (1 + partMore);
  const samples = Array.from({ length: 250 }, (_, index) => [
    { atMs: index * 40, cpuMs: index * workMs },
    { atMs: index * 40 + workMs, cpuMs: (index + 1) * workMs },
  ]).flat();
  samples.push({ atMs: 10_000, cpuMs: 250 * workMs });
  return {
    samples,
    memoryPeakBytes: 20_000_000,
    outBytes: 1_517_500,
    inBytes: 0,
    lastWords: "",
    exitCode: 0,
    ...fields,
  };
}

type Profiled = Outcome & { readonly asked: readonly RunRequest[]; readonly closed: number };

async function profile(args: readonly string[], runs: readonly FinishedRun[]): Promise<Profiled> {
  const asked: RunRequest[] = [];
  let closed = 0;
  const none = (): Promise<never> => Promise.reject(new Error("not in this test"));
  const outcome = await consort(["profile", ...args], {
    tools: {
      doctor: none,
      labMachine: none,
      guestBuilder: none,
      programRunner: async () => ({
        directory: "/srv/films",
        run: async (request) => {
          asked.push(request);
          return runs[(asked.length - 1) % runs.length] ?? assert.fail("no run");
        },
        close: async () => void (closed += 1),
      }),
    },
  });
  return { ...outcome, asked, closed };
}

test("profile proposes what the reference's video stream needs, and stops when one more run would tell nothing new", async () => {
  const { exit, out, err, asked, closed } = await profile(
    ["--for", "10s", "--", "/usr/bin/stream", "a b"],
    [run()],
  );
  assert.equal(
    out,
    `runs:        5, then one more would tell nothing new
CPU:         14.2% of a processor, ±0% of that
a run:       1420 ms of CPU time in 10000 ms
period:      40 ms, its own rhythm
per period:  5.68 ms; 5.68 ms cover 99% of 1120; at most 5.68 ms
memory:      19.07MiB
sends:       1.21Mbit/s ± 0bit/s
receives:    0bit/s ± 0bit/s

appliances:
  stream:
    command: [/usr/bin/stream, a b]
    directory: /srv/films
    cpu: 5.68ms/40ms
    memory: 21MiB
    traffic: {out: 1.34Mbit/s}
`,
  );
  assert.equal(exit, 0);
  assert.match(err, /^run 1 of 30: 14\.\d+% CPU\n/);
  assert.equal(asked.length, 5);
  assert.deepEqual(asked[0], { command: ["/usr/bin/stream", "a b"], forMs: 10_000 });
  assert.equal(closed, 1);
});

test("what profile proposes is taken by an ensemble file", async () => {
  const { out } = await profile(["--name", "gold", "--", "stream"], [run()]);
  const parsed = parseEnsemble(`ensemble: shop\n${out.slice(out.indexOf("appliances:"))}`, {
    file: "pasted",
  });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.value.appliances[0]?.cpu, {
    kind: "reservation",
    executionUs: 5680,
    periodUs: 40_000,
  });
});

test("profile runs a program that varies as often as it was told", async () => {
  const { asked, out } = await profile(["--runs", "8", "--rate", "25/s", "--", "x"], [run(), run({}, 0.5)]);
  assert.equal(asked.length, 8);
  assert.match(out, /^runs: {8}8\n/);
  assert.match(out, /period: {6}40 ms, as told/);
  assert.match(out, /cpu: 8\.52ms\/40ms/, "what covers 99% of the periods of all runs");
  const wide = await profile(["--runs", "8", "--within", "50%", "--", "x"], [run(), run({}, 0.5)]);
  assert.equal(wide.asked.length, 5);
});

test("profile --json tells everything it knows", async () => {
  const { out } = await profile(["--period", "80ms", "--json", "--", "x"], [run()]);
  const report = JSON.parse(out) as Record<string, Record<string, unknown>>;
  assert.deepEqual(report["proposal"]?.["cpu"], {
    kind: "reservation",
    periodUs: 80_000,
    executionUs: 11_360,
  });
  assert.equal(report["tight"], true);
  assert.deepEqual(report["profile"]?.["period"], { ms: 80, from: "given" });
});

test("profile ends with what the program said when it fails, and lets go of the machine", async () => {
  const failed = await profile(["--", "x"], [run(), run({ exitCode: 3, lastWords: "no such file" })]);
  assert.equal(failed.exit, 1);
  assert.match(failed.err, /Cannot profile x: run 2 ended with 3, 0 was wanted: no such file/);
  assert.equal(failed.closed, 1);
});

test("profile names what is wrong with how it is called", async () => {
  for (const [args, complaint] of [
    [[], /Cannot profile nothing/],
    [["--runs", "0", "--", "x"], /--runs is "0", wanted a number from 1/],
    [["--rate", "0/s", "--", "x"], /--rate is "0\/s"/],
    [["--rate", "25", "--", "x"], /--rate is "25", wanted 1\/s to 1000\/s, such as 25\/s/],
    [["--name", "My_loop", "--", "x"], /--name is "My_loop", wanted a name: a letter a-z/],
    [["--rate", "25/s", "--period", "40ms", "--", "x"], /one was wanted/],
    [["--period", "2h", "--", "x"], /--period is "2h"/],
    [["--within", "2", "--", "x"], /--within is "2"/],
    [["--for", "soon", "--", "x"], /--for is "soon"/],
    [["shop/web", "--", "x"], /cannot be told from what else runs there/],
  ] as const) {
    const { exit, err, asked } = await profile(args, [run()]);
    assert.equal(exit, 2, err);
    assert.match(err, complaint);
    assert.equal(asked.length, 0);
  }
});

const status = (fields: object): object => ({
  name: "shop",
  appliances: [
    {
      ensemble: "shop",
      name: "web",
      kind: "task",
      state: "running",
      restarts: 0,
      addresses: [],
      cpuUsedMilli: 250,
      memoryUsedBytes: 50_000_000,
      reservation: { executionUs: 20_000, periodUs: 40_000 },
      ...fields,
    },
  ],
  links: [
    { from: "shop/web", to: "shop/db", forwardBps: 1_000_000, backwardBps: 200_000 },
    { from: "shop/db", to: "shop/log", forwardBps: 7, backwardBps: 7 },
  ],
});

test("profile of a running appliance goes by what its host tells of it, in the period it has reserved", async () => {
  await using api = await testApi({ "GET /v1/ensembles/shop": json(status({})) });
  const { exit, out } = await consort(["profile", "shop/web", "--json"], { url: api.url });
  assert.equal(exit, 0);
  const report = JSON.parse(out) as { yaml: string } & Record<string, Record<string, unknown>>;
  const { proposal, yaml, profile: told } = report;
  assert.deepEqual(proposal?.["cpu"], { kind: "reservation", periodUs: 40_000, executionUs: 10_000 });
  assert.deepEqual([proposal?.["outBps"], proposal?.["inBps"]], [1_100_000, 220_000]);
  assert.equal(told?.["runs"], 5);
  assert.match(yaml, /^web:\n {2}cpu: 10ms\/40ms\n/);
  assert.equal(api.asked.length, 5);
});

test("profile of an appliance that uses all it has reserved proposes no CPU time, and says why", async () => {
  const reservation = { executionUs: 620, periodUs: 50_000 };
  await using api = await testApi({
    "GET /v1/ensembles/shop": json({ ...status({ cpuUsedMilli: 12, reservation }), links: [] }),
  });
  const { out } = await consort(["profile", "shop/web"], { url: api.url });
  assert.match(out, /period: +50 ms, as reserved/);
  assert.match(out, /It uses all of its 0\.62ms\/50ms, so it may need more: .*consort resize/);
  assert.match(out, /only traffic of declared links is counted/);
  assert.match(out, /\n {2}web: \{memory: 53MiB\}\n$/);
});

test("profile of a running appliance takes another period than the reserved one as told", async () => {
  await using api = await testApi({ "GET /v1/ensembles/shop": json(status({})) });
  const { out } = await consort(["profile", "shop/web", "--rate", "50/s"], { url: api.url });
  assert.match(out, /period: +20 ms, as told/);
  assert.match(out, /cpu: 5ms\/20ms/);
});

test("profile tells that runs are over too soon to be measured, and proposes nothing from them", async () => {
  const samples = [0, 2, 4].map((atMs) => ({ atMs, cpuMs: atMs }));
  const { out } = await profile(["--runs", "5", "--", "true"], [run({ samples })]);
  assert.match(out, /A run is over after 4 ms, 100 ms at least were wanted/);
  assert.doesNotMatch(out, /rhythm|without a pause/);
  assert.match(out, /\n {2}"true":\n {4}command: \["true"\]\n {4}directory: \/srv\/films\n$/);
});

test("profile says which files an appliance will not have", async () => {
  const { out } = await profile(["--", "perl", "/tmp/loop.pl"], [run()]);
  assert.match(out, /An appliance does not see \/tmp\/loop\.pl/);
});

test("profile of an appliance that does not run, or is not there, tells so", async () => {
  await using api = await testApi({ "GET /v1/ensembles/shop": json(status({ state: "suspended" })) });
  assert.match(
    (await consort(["profile", "shop/web"], { url: api.url })).err,
    /it is suspended, running was wanted/,
  );
  assert.match((await consort(["profile", "shop/none"], { url: api.url })).err, /shop has no appliance none/);
});
