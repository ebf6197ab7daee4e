import assert from "node:assert/strict";
import { test } from "node:test";
import { consort, json, nowMs, testApi } from "#cli/cli.fixture.ts";
import type { CheckpointRequestStatus, CheckpointStatus } from "#protocol/http/checkpoint.ts";

const request = (changes: Partial<CheckpointRequestStatus>): CheckpointRequestStatus => ({
  id: "r-1",
  ensemble: "shop",
  appliances: ["shop/db"],
  together: false,
  state: "taking",
  requestedAtMs: nowMs,
  ...changes,
});
const taken: CheckpointStatus = {
  id: "r-1",
  appliance: "shop/db",
  takenAtMs: nowMs,
  storedBytes: 3 * 1024 * 1024,
  contentBytes: 4 * 1024 * 1024,
  pauseMs: 21.4,
  copies: ["a1", "a2"],
  after: "p-0",
};
const path = "/v1/ensembles/shop/checkpoints";

test("checkpoint waits until it is complete, and shows it", async () => {
  const looks = [
    { checkpoints: [], requests: [request({})], leftovers: [] },
    { checkpoints: [taken], requests: [request({ state: "done" })], leftovers: [] },
    { checkpoints: [taken, { ...taken, id: "p-0" }], requests: [request({ state: "done" })], leftovers: [] },
  ];
  await using api = await testApi({
    [`POST ${path}`]: json(request({})),
    [`GET ${path}`]: (asked, response) => json(looks.shift())(asked, response),
  });
  const { exit, out } = await consort(["checkpoint", "shop/db"], { url: api.url });
  assert.equal(exit, 0);
  assert.deepEqual(api.asked[0]?.body, { appliances: ["db"], together: false });
  const [headings = "", row, ...others] = out.trimEnd().split("\n");
  assert.match(row ?? "", /^shop\/db +r-1 +\S+ +3MiB +21ms +p-0 +a1, a2$/);
  assert.equal(headings, headings.toUpperCase());
  assert.deepEqual(others, []);
});

test("checkpoint tells why it failed", async () => {
  const failed = request({
    state: "failed",
    message: "Cannot take a checkpoint: shop/db is not running",
  });
  await using api = await testApi({ [`POST ${path}`]: json(failed) });
  const { exit, err } = await consort(["checkpoint", "shop", "--together"], { url: api.url });
  assert.equal(exit, 1);
  assert.match(err, /^consort: Cannot take a checkpoint of shop: shop\/db is not running/);
  assert.deepEqual(api.asked[0]?.body, { appliances: [], together: true });
});

test("checkpoint ls shows what there is of all ensembles, or that there is nothing", async () => {
  await using api = await testApi({
    "GET /v1/ensembles": json([{ name: "shop" }]),
    [`GET ${path}`]: json({ checkpoints: [], requests: [], leftovers: [] }),
  });
  const { out } = await consort(["checkpoint", "ls"], { url: api.url });
  assert.equal(out, "No checkpoint is complete.\n");
});

test("checkpoint ls tells what a store still keeps of an ensemble that is gone, and why", async () => {
  const left = {
    appliance: "shop/db",
    place: "s3://b/3f2a",
    host: "a1",
    sinceMs: nowMs,
    message: "no answer",
  };
  await using api = await testApi({
    [`GET ${path}`]: json({ checkpoints: [], requests: [], leftovers: [left] }),
  });
  const { out } = await consort(["checkpoint", "ls", "shop"], { url: api.url });
  assert.match(out, /^shop\/db: a1 removes all that is there from s3:\/\/b\/3f2a: no answer$/m);
});

test("restore names the appliance and the checkpoint, and wants one appliance", async () => {
  const done = {
    id: "op-1",
    kind: "restore",
    ensemble: "shop",
    state: "done",
    phase: "connecting",
    progress: { done: 1, total: 1 },
    message: "",
    createdAtMs: nowMs,
    endedAtMs: nowMs + 500,
  };
  await using api = await testApi({ "POST /v1/ensembles/shop/restore": json(done, 202) });
  const { exit, out } = await consort(["restore", "shop/db", "--from", "r-1"], { url: api.url });
  assert.deepEqual([exit, out], [0, "shop is restored: 1 of 1 ready in 0.50 s\n"]);
  assert.deepEqual(api.asked[0]?.body, { appliance: "db", checkpoint: "r-1" });
  const { exit: refused } = await consort(["restore", "shop"], { url: api.url });
  assert.equal(refused, 2);
});
