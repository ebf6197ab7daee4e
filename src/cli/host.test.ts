import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { consort, json, nowMs, refuse, testApi } from "#cli/cli.fixture.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { sampleHostStatus } from "#protocol/http/status.fixture.ts";

const operation = (changes: Partial<Operation>): Operation => ({
  id: "op-1",
  kind: "drain",
  host: "a1",
  state: "running",
  phase: "accepted",
  progress: { done: 0, total: 2 },
  message: "",
  createdAtMs: nowMs,
  ...changes,
});

const a1 = sampleHostStatus("a1", { appliances: 2, lastSeenMs: nowMs });

test("host drain shows what has moved, and how to undo it when it is done", async () => {
  const steps = [
    operation({ phase: "moving", message: "waiting for web-1, web-2" }),
    operation({ phase: "moving", progress: { done: 1, total: 2 }, message: "waiting for web-2" }),
    operation({ state: "done", phase: "moving", progress: { done: 2, total: 2 }, endedAtMs: nowMs + 840 }),
  ];
  await using api = await testApi({
    "POST /v1/hosts/a1/drain": json(operation({}), 202),
    "GET /v1/operations/op-1": (asked, response) => json(steps.shift())(asked, response),
  });
  assert.deepEqual(await consort(["host", "drain", "a1"], { url: api.url }), {
    exit: 0,
    out: "a1 is drained: 2 of 2 moved in 0.84 s\nIt takes nothing new until: consort host uncordon a1\n",
    err: "drain a1: accepted\ndrain a1: moving 0/2: waiting for web-1, web-2\ndrain a1: moving 1/2: waiting for web-2\n",
  });
});

test("host drain of an empty host says so", async () => {
  const done = operation({ state: "done", progress: { done: 0, total: 0 }, endedAtMs: nowMs });
  await using api = await testApi({ "POST /v1/hosts/a1/drain": json(done, 202) });
  const { exit, out } = await consort(["host", "drain", "a1"], { url: api.url });
  assert.equal(exit, 0);
  assert.match(out, /^a1 is drained: nothing ran on it in 0\.00 s\n/);
});

for (const option of ["--detach", "-d", "--no-wait"]) {
  test(`host drain ${option} returns once it is accepted`, async () => {
    await using api = await testApi({ "POST /v1/hosts/a1/drain": json(operation({}), 202) });
    const { exit, out } = await consort(["host", "drain", "a1", option], { url: api.url });
    assert.deepEqual({ exit, out }, { exit: 0, out: "The drain of a1 is accepted: operation op-1\n" });
    assert.equal(api.asked.length, 1);
  });
}

test("Ctrl-C during a drain cancels it and says what holds now", async () => {
  const stop = new AbortController();
  await using api = await testApi({
    "POST /v1/hosts/a1/drain": json(operation({}), 202),
    "GET /v1/operations/op-1": () => stop.abort(new Error("interrupted")),
    "DELETE /v1/operations/op-1": json(operation({ state: "cancelled" })),
  });
  const { exit, err } = await consort(["host", "drain", "a1"], { url: api.url, interrupt: stop.signal });
  assert.equal(exit, 1);
  assert.match(err, /Interrupted: cancelling drain a1/);
  assert.match(err, /Cancelled: a1 takes appliances again, what has moved stays where it is/);
  assert.doesNotMatch(err, /was cancelled/);
});

test("a drain that somebody else ends is told, and exits with 1", async () => {
  const cancelled = operation({ state: "cancelled", message: "a1 was uncordoned", endedAtMs: nowMs });
  await using api = await testApi({ "POST /v1/hosts/a1/drain": json(cancelled, 202) });
  const { exit, err } = await consort(["host", "drain", "a1"], { url: api.url });
  assert.equal(exit, 1);
  assert.equal(err, "consort: drain a1 was cancelled: a1 was uncordoned\n");
});

test("a drain with no place for an appliance exits with 3 and says how to go back", async () => {
  const error = { code: "unsatisfiable", message: "no other host has 2GiB for shop/db" };
  await using api = await testApi({
    "POST /v1/hosts/a1/drain": json(operation({ state: "failed", error, endedAtMs: nowMs }), 202),
  });
  const { exit, err } = await consort(["host", "drain", "a1"], { url: api.url });
  assert.equal(exit, 3);
  assert.match(err, /^consort: Cannot drain a1: no other host has 2GiB for shop\/db\n/);
  assert.match(err, /consort host uncordon a1 lets it take appliances again\n$/);
});

test("host cordon, uncordon and forget ask for just that and say what follows", async () => {
  await using api = await testApi({
    "POST /v1/hosts/a1/cordon": json({ ...a1, scheduling: "cordoned" }),
    "POST /v1/hosts/a1/uncordon": json({ ...a1, fenced: true }),
    "POST /v1/hosts/a1/forget": (_asked, response) => void response.writeHead(204).end(),
  });
  const run = (...args: string[]) => consort(["host", ...args], { url: api.url });
  assert.equal(
    (await run("cordon", "a1")).out,
    "a1 takes nothing new; 2 appliances stay: consort host drain a1 moves them\n",
  );
  await using quiet = await testApi({ "POST /v1/hosts/a1/cordon": json({ ...a1, appliances: 1 }) });
  assert.equal(
    (await consort(["host", "cordon", "a1"], { url: quiet.url })).out,
    "a1 takes nothing new; 1 appliance stays: consort host drain a1 moves it\n",
  );
  assert.equal(
    (await run("uncordon", "a1")).out,
    "a1 takes appliances again, once it is clean: it is fenced\n",
  );
  assert.match((await run("forget", "a1")).out, /^a1 is forgotten; /);
  assert.deepEqual(JSON.parse((await run("cordon", "a1", "--json")).out), { ...a1, scheduling: "cordoned" });
  assert.deepEqual(JSON.parse((await run("forget", "a1", "--json")).out), { host: "a1", forgotten: true });
});

test("a host that is not there is refused with the nearest that is", async () => {
  await using api = await testApi({ "GET /v1/hosts": json([a1, { ...a1, id: "gw-alpha" }]) });
  for (const verb of ["drain", "cordon", "uncordon", "forget"]) {
    const { exit, err } = await consort(["host", verb, "gw-alpa"], { url: api.url });
    assert.equal(exit, 1);
    assert.equal(err, `consort: Cannot ${verb} gw-alpa: no such host; did you mean "gw-alpha"?\n`);
  }
});

test("a host that is like none is refused with all there are, in order", async () => {
  await using api = await testApi({ "GET /v1/hosts": json([{ ...a1, id: "a10" }, { ...a1, id: "a2" }, a1]) });
  const { err } = await consort(["host", "cordon", "zz9"], { url: api.url });
  assert.equal(err, "consort: Cannot cordon zz9: no such host; known here: a1, a2, a10\n");
});

test("what the manager refuses of a host that is there is told as it says it", async () => {
  const message = "Cannot forget a1: it is ready, wanted a lost host";
  await using api = await testApi({ "POST /v1/hosts/a1/forget": refuse("conflict", 409, message) });
  assert.deepEqual(await consort(["host", "forget", "a1"], { url: api.url }), {
    exit: 1,
    out: "",
    err: `consort: ${message}\n`,
  });
});

test("host alone is its help, and a wrong or lonely verb is bad input", async () => {
  const alone = await consort(["host"]);
  assert.equal(alone.exit, 2);
  assert.equal(alone.out, (await consort(["host", "--help"])).out);
  const wrong = await consort(["host", "drian", "a1"]);
  assert.equal(wrong.exit, 2);
  assert.match(wrong.err, /no such verb; did you mean "drain"\?/);
  const lonely = await consort(["host", "drain"]);
  assert.equal(lonely.exit, 2);
  assert.match(lonely.err, /no host given, wanted one: consort host drain HOST/);
  const empty = await consort(["host", "forget", ""]);
  assert.equal(empty.exit, 2);
  assert.match(empty.err, /no host given, wanted one: consort host forget HOST/);
  const two = await consort(["host", "drain", "a1", "a2"]);
  assert.equal(two.exit, 2);
  assert.match(two.err, /a1, a2 are 2 hosts, wanted one: consort host drain HOST/);
});

test("snapshot prints the document, or keeps it where only its owner reads it", async () => {
  const document = { format: "consort-snapshot/1", hosts: [{}, {}], ensembles: [{}] };
  await using api = await testApi({ "GET /v1/snapshot": json(document) });
  assert.deepEqual(JSON.parse((await consort(["snapshot"], { url: api.url })).out), document);
  const folder = await mkdtemp(join(tmpdir(), "consort-cli-"));
  try {
    const file = join(folder, "cloud.json");
    const kept = await consort(["snapshot", "-o", file], { url: api.url });
    assert.equal(kept.out, `${file} holds 2 hosts and 1 ensemble\n`);
    assert.deepEqual(JSON.parse(await readFile(file, "utf8")), document);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const nowhere = await consort(["snapshot", "-o", join(folder, "no", "where")], { url: api.url });
    assert.equal(nowhere.exit, 2);
    assert.match(nowhere.err, /Cannot write .*where: /);
  } finally {
    await rm(folder, { recursive: true });
  }
});
