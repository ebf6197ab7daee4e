import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { EventLog } from "#cluster/event-log.ts";
import { Operations } from "#cluster/operations.ts";
import type { Progress } from "#cluster/progress.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { sampleRecord } from "#cluster/sample.ts";
import { ClusterState } from "#cluster/state.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Operation } from "#protocol/http/operation.ts";

const never = new AbortController().signal;
const shop = sampleRecord(sampleEnsemble("shop", { appliances: [sampleAppliance("web")] }), { web: "a1" });
const waiting: Progress = { done: 0, total: 1, complete: false, failed: false, message: "waiting for web" };
const complete: Progress = { ...waiting, done: 1, complete: true, message: "all running" };
const holds = (): void => {};

async function desk(
  clock = new ManualClock(),
  store = fakeStore({ clock, random: seededRandom(1), log: silentLog }),
) {
  const state = new ClusterState(store);
  await state.load(never);
  const operations = new Operations(
    { clock, random: seededRandom(clock.now()) },
    state,
    new EventLog({ store, clock, log: silentLog }),
  );
  const current = (): EnsembleRecord => state.ensemble("shop") ?? assert.fail("no record");
  const up = async (undo?: EnsembleRecord): Promise<Operation> =>
    (await operations.accept("up", () => ({ record: { ...shop, state: "present" }, undo }), never)).operation;
  const down = async (): Promise<Operation> =>
    (await operations.accept("down", () => ({ record: { ...current(), state: "removing" } }), never))
      .operation;
  return { clock, store, state, operations, current, up, down };
}

describe("Operations", () => {
  it("ends an up as cancelled when it goes back, though the world became as it wanted at that moment", async () => {
    const { operations, state, current, up } = await desk();
    const { id } = await up();
    const cancelling = operations.cancel(id, holds, never);
    const observing = operations.observe(current(), complete, never);
    await Promise.all([cancelling, observing]);
    assert.equal(operations.get(id).state, "cancelled");
    assert.equal(state.ensemble("shop")?.state, "removing");
  });

  it("refuses to cancel what was done a moment before, and leaves it up", async () => {
    const { operations, state, current, up } = await desk();
    const { id } = await up();
    const observing = operations.observe(current(), complete, never);
    await assert.rejects(operations.cancel(id, holds, never), { code: "conflict" });
    await observing;
    assert.equal(operations.get(id).state, "done");
    assert.equal(state.ensemble("shop")?.state, "present");
  });

  it("ends a down that comes when what a cancelled up left is being forgotten", async () => {
    const { operations, state, current, up, down } = await desk();
    const first = await up();
    await operations.cancel(first.id, holds, never);
    const removing = down();
    const observing = operations.observe(current(), complete, never);
    const { id } = await removing;
    await observing;
    assert.equal(operations.get(id).state, "running");
    await operations.observe(current(), complete, never);
    assert.equal(operations.get(id).state, "done");
    assert.equal(state.ensemble("shop"), undefined);
  });

  it("ends every operation but the newest on an ensemble", async () => {
    const { operations, current, up, down } = await desk();
    const ids = [await up(), await up(current()), await down()].map((one) => one.id);
    assert.deepEqual(
      ids.map((id) => operations.get(id).state),
      ["cancelled", "cancelled", "running"],
    );
    assert.match(operations.get(ids[0] ?? "").message, /replaced by/);
  });

  it("forgets an ensemble in the same moment its removal is done", async () => {
    const { operations, store, current, up, down } = await desk();
    await up();
    const { id } = await down();
    const { revision } = await store.list("", never);
    await operations.observe(current(), complete, never);
    assert.equal((await store.list("ensemble/", never)).revision, revision + 1);
    assert.equal(operations.get(id).state, "done");
  });

  it("fails one that does not converge in time, whatever the wall clock does, and also after a restart", async () => {
    const first = await desk();
    const { id } = await first.up();
    await first.operations.observe(first.current(), waiting, never);
    const later = new ManualClock(first.clock.now() + 10 * limits.operationMsMax);
    const second = await desk(later, first.store);
    await second.operations.observe(second.current(), waiting, never);
    assert.equal(second.operations.get(id).state, "running");
    later.advance(millis(limits.operationMsMax + 1));
    await second.operations.observe(second.current(), waiting, never);
    const ended = second.operations.get(id);
    assert.deepEqual([ended.state, ended.error?.code], ["failed", "timeout"]);
    assert.match(ended.message, /waiting for web/);
  });

  it("goes on waiting when the store cannot keep the end, and tells it once it can", async () => {
    const { operations, state, store, current, up } = await desk();
    const { id } = await up();
    const commit = store.commit.bind(store);
    store.commit = () => Promise.reject(new Error("disk full"));
    await assert.rejects(operations.observe(current(), complete, never), /disk full/);
    assert.equal(operations.get(id).state, "running");
    store.commit = commit;
    await state.settle(never);
    await operations.observe(current(), complete, never);
    assert.equal(operations.get(id).state, "done");
  });

  it("changes nothing when what was before cannot be had again", async () => {
    const { operations, current, up } = await desk();
    await up();
    const { id } = await up(current());
    const before = current();
    const refuses = (): never => {
      throw new Error("does not fit");
    };
    await assert.rejects(operations.cancel(id, refuses, never), /does not fit/);
    assert.equal(current(), before);
    assert.equal(operations.get(id).state, "running");
  });
});
