import assert from "node:assert/strict";
import { test } from "node:test";
import { consort, json, nowMs, refuse, testApi } from "#cli/cli.fixture.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { EnsembleStatus } from "#protocol/http/status.ts";

const operation = (changes: Partial<Operation>): Operation => ({
  id: "op-1",
  kind: "resize",
  ensemble: "shop",
  state: "running",
  phase: "accepted",
  progress: { done: 0, total: 2 },
  message: "",
  createdAtMs: nowMs,
  ...changes,
});

const done = (kind: Operation["kind"]) =>
  operation({ kind, state: "done", progress: { done: 2, total: 2 }, endedAtMs: nowMs + 30 });

/** Runs the command against a manager that accepts, and gives what it was asked. */
async function asked(
  ...args: string[]
): Promise<{ url: string | undefined; body: unknown; out: string; err: string }> {
  const verb = args[0] as Operation["kind"];
  await using api = await testApi({
    [`POST /v1/ensembles/shop/${verb}`]: json(operation({ kind: verb }), 202),
    "GET /v1/operations/op-1": json(done(verb)),
  });
  const { out, err } = await consort(args, { url: api.url });
  return { url: api.asked[0]?.url, body: api.asked[0]?.body, out, err };
}

test("resize sends the sizes it is given and waits until they are in force", async () => {
  const told = await asked("resize", "shop/web", "--cpu", "32ms/40ms", "--memory", "1GB", "--out", "2Mbit/s");
  assert.deepEqual(told.body, { sizes: { web: { cpu: "32ms/40ms", memory: "1GB", out: "2Mbit/s" } } });
  assert.equal(told.out, "shop is resized: 2 of 2 in force in 0.03 s\n");
});

test("resize gives processors and limits of disks in the words of files", async () => {
  const limits = [
    "--disk-read",
    "50MiB/s",
    "--disk-write",
    "20MiB/s",
    "--disk-reads",
    "500",
    "--disk-writes",
    "9",
  ];
  const told = await asked("resize", "shop/db", "--vcpus", "2", ...limits);
  const disk = { read: "50MiB/s", write: "20MiB/s", reads: 500, writes: 9 };
  assert.deepEqual(told.body, { sizes: { db: { vcpus: 2, disk } } });
  const wrong = await consort(["resize", "shop/db", "--vcpus", "two"], { url: "http://127.0.0.1:9" });
  assert.equal(wrong.exit, 2);
  assert.match(wrong.err, /it is given "two", wanted a whole number/);
});

test("resize gives a team another part, or some of the part of a team beside it", async () => {
  const sized = await asked("resize", "shop/web/encoders/deep", "--cpu", "4ms/40ms");
  assert.deepEqual(sized.body, { sizes: { web: { teams: { "encoders/deep": "4ms/40ms" } } } });
  const moved = await asked("resize", "shop/web/encoders", "--from", "shop/web/muxers", "--cpu", "2ms");
  assert.deepEqual(moved.body, { moves: ["move 2ms from web/muxers to web/encoders"] });
  const wrong = await consort(["resize", "shop/web/encoders", "--out", "1Mbit/s"], {
    url: "http://127.0.0.1:9",
  });
  assert.equal(wrong.exit, 2);
  assert.match(
    wrong.err,
    /Cannot resize shop\/web\/encoders: a team has a part of its appliance's CPU time only/,
  );
});

test("resize --from moves, CPU time and bandwidth in one change", async () => {
  const told = await asked("resize", "shop/web", "--from", "shop/db", "--cpu", "8ms", "--out", "1Mbit/s");
  assert.deepEqual(told.body, { moves: ["move 8ms from db to web", "move 1Mbit/s from db to web"] });
});

test("migrate names one appliance, and the host it goes to", async () => {
  const to = await asked("migrate", "shop/db", "--to", "a2");
  assert.deepEqual(to.body, { appliances: ["db"], to: "a2" });
  assert.equal(to.out, "shop: 2 of 2 run where they were to go in 0.03 s\n");
  assert.deepEqual((await asked("migrate", "shop/db")).body, { appliances: ["db"] });
  const whole = await consort(["migrate", "shop"], { url: "http://127.0.0.1:9" });
  assert.match(whole.err, /an appliance such as shop\/web was wanted/);
});

test("suspend and resume name one appliance, all its replicas, or all of an ensemble", async () => {
  const one = await asked("suspend", "shop/web-2");
  assert.deepEqual([one.body, one.out], [{ appliances: ["web-2"] }, "shop: 2 of 2 held in 0.03 s\n"]);
  const all = await asked("resume", "shop");
  assert.deepEqual([all.body, all.out], [{ appliances: [] }, "shop: 2 of 2 go on in 0.03 s\n"]);
});

test("what hosts cannot keep ends with exit code 3 and the manager's reason", async () => {
  await using api = await testApi({
    "POST /v1/ensembles/shop/resize": refuse("unsatisfiable", 422, "Cannot resize shop: a1 has 100%"),
  });
  const { exit, err } = await consort(["resize", "shop/web", "--cpu", "90%"], { url: api.url });
  assert.equal(exit, 3);
  assert.match(err, /Cannot resize shop: a1 has 100%/);
});

const misuses: readonly (readonly [readonly string[], RegExp])[] = [
  [["resize", "shop/web"], /no size given, wanted --cpu, --memory, --out, --in, --vcpus or one of its disks/],
  [["resize", "shop/web", "--from", "other/db", "--cpu", "8ms"], /they are of two ensembles, wanted one/],
  [["resize", "shop/web", "--from", "shop/db"], /nothing to move is given, wanted --cpu 8ms/],
  [["resize", "shop/web", "--from", "shop/db", "--cpu", "8ms", "--memory", "1GB"], /only these can be moved/],
];
for (const [args, message] of misuses) {
  test(`consort ${args.join(" ")} is refused before anybody is asked`, async () => {
    const { exit, err } = await consort([...args], { url: "http://127.0.0.1:1" });
    assert.equal(exit, 2);
    assert.match(err, message);
  });
}

const status: EnsembleStatus = {
  name: "shop",
  state: "running",
  revision: 3,
  appliances: [
    {
      ensemble: "shop",
      name: "web",
      kind: "task",
      state: "suspended",
      host: "a1",
      restarts: 0,
      addresses: [],
      cpuUsedMilli: 0,
      memoryUsedBytes: 0,
      reservation: {
        executionUs: 32_000,
        periodUs: 40_000,
        enforcement: "dispatch-table",
        dispatches: 1200,
        misses: 3,
        latestUs: 240,
      },
      traffic: { serviceClass: "gold", outBps: 5e6, outCeilingBps: 8e6 },
      suspended: true,
      adjusted: true,
    },
  ],
  networks: [],
  links: [],
  monitors: [
    { name: "video", appliance: "web" },
    { name: "queue", appliance: "web", problem: "cat ended with 1", sinceMs: nowMs - 90_000 },
    { name: "load", appliance: "web" },
  ],
  measurements: [{ metric: "video.jitter", appliance: "web", value: 27.13, unit: "ms", atMs: nowMs - 2000 }],
  strategies: [
    {
      name: "more",
      when: "video.jitter > 20ms for 1s",
      acted: 2,
      refused: 1,
      last: "video.jitter was above 20 ms: web 24ms of 40ms → 32ms of 40ms",
      lastAtMs: nowMs - 60_000,
    },
  ],
};

test("ps, describe and top show what is reserved, how it is kept, and what is held", async () => {
  await using api = await testApi({
    "GET /v1/ensembles": json([status]),
    "GET /v1/ensembles/shop": json(status),
    "GET /v1/operations": json([]),
    "GET /v1/hosts": json([]),
  });
  const ps = await consort(["ps"], { url: api.url });
  assert.match(ps.out, /shop +running +1\/1/);
  assert.match((await consort(["ps", "shop"], { url: api.url })).out, /suspended .* 32ms\/40ms/);
  assert.equal((await consort(["ps", "--quiet", "--appliances"], { url: api.url })).out, "shop\nshop/web\n");
  const one = (await consort(["describe", "shop/web"], { url: api.url })).out;
  assert.match(
    one,
    /CPU reserved: +32ms\/40ms, kept by dispatch-table; 3 of 1200 missed, by 0\.24ms at most/,
  );
  assert.match(one, /held: +yes: consort resume lets it go on/);
  assert.match(one, /traffic: +gold, 5Mbit\/s out, at most 8Mbit\/s out/);
  const all = (await consort(["describe", "shop"], { url: api.url })).out;
  assert.match(all, /video\.jitter +web +27\.13 ms +2s/);
  assert.match(all, /queue +web +- +- +for 1m30s: cat ended with 1/);
  assert.match(all, /load +web +- +-\n/, "nothing was told of it yet");
  assert.match(all, /more +video\.jitter > 20ms for 1s +2 +1 +1m +video\.jitter was above/);
  assert.match((await consort(["top"], { url: api.url })).out, /dispatch-table +3 of 1200/);
});

test("describe and top say nothing of misses that cannot be told", async () => {
  const reservation = { executionUs: 6000, periodUs: 40_000, enforcement: "deadline" };
  const appliances = status.appliances.map((one) => ({ ...one, reservation }));
  await using api = await testApi({
    "GET /v1/ensembles": json([{ ...status, appliances }]),
    "GET /v1/ensembles/shop": json({ ...status, appliances }),
    "GET /v1/operations": json([]),
    "GET /v1/hosts": json([]),
  });
  assert.match(
    (await consort(["describe", "shop/web"], { url: api.url })).out,
    /CPU reserved: +6ms\/40ms, kept by deadline\n/,
  );
  assert.doesNotMatch((await consort(["top"], { url: api.url })).out, /MISSES|0 of 0/);
});
