import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { EventLog } from "#cluster/event-log.ts";
import { keys } from "#cluster/records.ts";
import { ClusterState } from "#cluster/state.ts";
import { noteEpoch, Term } from "#cluster/term.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import { silentLog } from "#drivers/system/log.ts";

const never = new AbortController().signal;

function desk() {
  const clock = new ManualClock();
  const store = fakeStore({ clock, random: seededRandom(1), log: silentLog });
  return { clock, store, take: () => Term.take(store, clock, never) };
}

describe("Term", () => {
  it("is a later one each time it is taken", async () => {
    const { take } = desk();
    assert.deepEqual([(await take()).epoch, (await take()).epoch], [1, 2]);
  });

  it("learns from the store that a later one has begun, and tells so once it does", async () => {
    const { take } = desk();
    const first = await take();
    let told = 0;
    first.onSuperseded(() => (told += 1));
    await first.confirm(never);
    assert.equal(first.supersededBy, undefined);
    await take();
    await first.confirm(never);
    assert.deepEqual([first.supersededBy, told], [2, 1]);
  });

  it("is certain only of the moment before it asked", async () => {
    const { clock, store, take } = desk();
    const term = await take();
    const get = store.get.bind(store);
    store.get = async (...given) => {
      clock.advance(millis(700));
      return get(...given);
    };
    clock.advance(millis(1000));
    await term.confirm(never);
    assert.equal(term.confirmedAt, 1000);
  });

  it("lets the state and the events of a manager that was replaced write nothing more", async () => {
    const { clock, store, take } = desk();
    const term = await take();
    const state = new ClusterState(store, term);
    await state.load(never);
    const events = new EventLog({ store, clock, log: silentLog, term });
    await take();
    const write = { put: keys.standing("a1"), value: { fenced: true, scheduling: "open" } };
    await assert.rejects(
      state.change(() => ({ writes: [write], result: undefined }), never),
      { code: "unavailable" },
    );
    assert.equal(term.supersededBy, 2);
    events.append("late", "cluster", "should not be kept");
    const stop = new AbortController();
    const running = events.run(stop.signal).catch(() => {});
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    stop.abort();
    clock.advance(millis(10_000));
    await running;
    assert.deepEqual((await store.list("event/", never)).entries, []);
    assert.deepEqual((await store.list("standing/", never)).entries, []);
  });

  it("goes beyond what hosts have obeyed, also when the store was lost in between", async () => {
    const { store, take } = desk();
    await take();
    await noteEpoch(store, 7, never);
    await noteEpoch(store, 3, never);
    assert.equal((await take()).epoch, 8);
  });
});

describe("ClusterState after a write whose outcome was not told", () => {
  it("reads what the store really has before anything else is decided", async () => {
    const { store, take } = desk();
    const state = new ClusterState(store, await take());
    await state.load(never);
    const commit = store.commit.bind(store);
    store.commit = async (...given) => {
      await commit(...given);
      throw new Error("connection lost");
    };
    const fence = { put: keys.standing("a1"), value: { fenced: true, scheduling: "open" } };
    await assert.rejects(
      state.change(() => ({ writes: [fence], result: undefined }), never),
      /lost/,
    );
    assert.equal(state.standing("a1" as never).fenced, false);
    store.commit = commit;
    const seen = await state.change(() => ({ writes: [], result: state.standing("a1" as never) }), never);
    assert.equal(seen.fenced, true);
  });
});
