import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { paceFor } from "#cluster/pace.ts";
import { PaceKeeper } from "#cluster/pace-keeper.ts";
import { keys } from "#cluster/records.ts";
import { Term } from "#cluster/term.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import { silentLog } from "#drivers/system/log.ts";

const never = new AbortController().signal;
const many = 10_000;

async function desk(
  clock = new ManualClock(),
  given = fakeStore({ clock, random: seededRandom(1), log: silentLog }),
) {
  const store = given;
  const term = await Term.take(store, clock, never);
  const keeper = await PaceKeeper.load(store, clock, term, never);
  const recorded = async (): Promise<unknown> => (await store.get(keys.lease, never))?.value;
  return { clock, store, keeper, recorded };
}

describe("paceFor", () => {
  it("is as the limits say for a small cloud, and never more than so many reports a second", () => {
    assert.deepEqual(paceFor(4), {
      heartbeatMs: limits.heartbeatMs,
      leaseMs: limits.leaseMs,
      silenceMs: limits.hostSilenceMsMax,
    });
    for (const hosts of [0, 1, 499, 501, 3000, many]) {
      const { heartbeatMs, leaseMs, silenceMs } = paceFor(hosts);
      assert.ok((hosts * 1000) / heartbeatMs <= limits.reportsPerSecondMax);
      assert.ok(heartbeatMs * 2 < leaseMs && leaseMs < silenceMs, `${hosts} hosts`);
    }
  });
});

describe("PaceKeeper", () => {
  it("records a longer lease before it is granted", async () => {
    const { keeper, store, recorded } = await desk();
    const commit = store.commit.bind(store);
    store.commit = () => Promise.reject(new Error("disk full"));
    await assert.rejects(keeper.follow(many, never), /disk full/);
    assert.deepEqual(keeper.current(), paceFor(0));
    store.commit = commit;
    await keeper.follow(many, never);
    assert.equal(await recorded(), paceFor(many).leaseMs);
    assert.deepEqual(keeper.current(), paceFor(many));
  });

  it("never grants less than before under the same manager", async () => {
    const { keeper } = await desk();
    await keeper.follow(many, never);
    await keeper.follow(4, never);
    assert.deepEqual(keeper.current(), paceFor(many));
  });

  it("lets the next manager grant less at once, and waits out what was granted before it records so", async () => {
    const first = await desk();
    await first.keeper.follow(many, never);
    const { keeper, clock, recorded } = await desk(first.clock, first.store);
    assert.deepEqual(keeper.inherited(), paceFor(many));
    await keeper.follow(4, never);
    assert.deepEqual(keeper.current(), paceFor(4));
    assert.equal(await recorded(), paceFor(many).leaseMs);
    clock.advance(millis(paceFor(many).silenceMs + 1));
    await keeper.follow(4, never);
    assert.equal(await recorded(), paceFor(4).leaseMs);
  });
});
