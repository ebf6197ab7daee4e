import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Store } from "#drivers/store/port.ts";
import { machineClock } from "#sim/drivers/clock.ts";
import { simulatedDisk, simulatedKeeper } from "#sim/drivers/disk.ts";
import { SimulatedStore } from "#sim/drivers/store.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import { tracedLog } from "#sim/kernel/log.ts";
import { RunningTime } from "#sim/kernel/running-time.fixture.ts";
import type { HostPlan } from "#protocol/host-plan.ts";

const never = new AbortController().signal;
const takes = [10, 10] as const;

function storeOn(running: RunningTime): { store: SimulatedStore; open: (life: Incarnation) => Store } {
  const { time, place } = running;
  const store = new SimulatedStore({
    clock: machineClock(time, place),
    log: tracedLog(time, undefined),
    seed: 1,
  });
  return { store, open: (life) => store.openFor(life, takes, () => true) };
}

describe("the simulated store", () => {
  it("outlives the processes that use it, and two see each other's changes", async () => {
    await using running = new RunningTime();
    const { store, open } = storeOn(running);
    const life = running.life();
    const first = open(life);
    assert.deepEqual(await first.commit([{ put: "a", value: 1 }], [], never), {
      committed: true,
      revision: 1,
    });
    life.kill();
    const second = open(running.life());
    assert.equal((await second.get("a", never))?.value, 1);
    const stale = await open(running.life()).commit(
      [{ put: "a", value: 2 }],
      [{ key: "a", revision: 0 }],
      never,
    );
    assert.equal(stale.committed, false);
    assert.deepEqual(
      store.entries("a").map((entry) => entry.value),
      [1],
    );
  });

  it("may have kept what nobody was told of: the store, or the process, went in between", async () => {
    await using running = new RunningTime();
    const { store, open } = storeOn(running);
    store.onCommit(() => {
      store.isDown = true;
    });
    await assert.rejects(open(running.life()).commit([{ put: "a", value: 1 }], [], never), {
      code: "unavailable",
    });
    assert.equal(store.entries("a").length, 1);
    store.isDown = false;
    const life = running.life();
    store.onCommit(() => life.kill());
    let told = false;
    const commit = open(life).commit([{ put: "b", value: 1 }], [], never);
    commit.then(
      () => (told = true),
      () => (told = true),
    );
    await new Promise<void>((resolve) => {
      running.time.schedule(running.time.nowMs + 1000, undefined, "later", resolve);
    });
    assert.equal(store.entries("b").length, 1);
    assert.equal(told, false);
  });

  it("tells of every change to those who watch, and nobody once they are dead", async () => {
    await using running = new RunningTime();
    const { open } = storeOn(running);
    const writer = open(running.life());
    const seen: string[] = [];
    const watching = async (life: Incarnation, until: number): Promise<void> => {
      let count = 0;
      for await (const events of open(life).watch("", 0, never)) {
        for (const event of events) seen.push(`${life.number} ${event.key}`);
        count += 1;
        if (count === until) return;
      }
    };
    const dead = running.life();
    void watching(dead, 2);
    await writer.commit([{ put: "a", value: 1 }], [], never);
    const living = running.life();
    const both = watching(living, 2);
    dead.kill();
    seen.length = 0;
    await writer.commit([{ put: "b", value: 1 }], [], never);
    await both;
    assert.deepEqual(seen, [`${living.number} a`, `${living.number} b`]);
  });
});

describe("a simulated disk", () => {
  const plan = (revision: number): HostPlan => ({ epoch: 1, revision }) as HostPlan;

  it("has the old plan or the new one when the process dies, and refuses when it is full", async () => {
    await using running = new RunningTime();
    const disk = simulatedDisk();
    await simulatedKeeper(disk, running.life(), takes).save(plan(1), never);
    const dies = running.life();
    dies.crashAtCall(1, "none", () => dies.kill());
    void simulatedKeeper(disk, dies, takes).save(plan(2), never);
    const diesAfter = running.life();
    assert.equal((await simulatedKeeper(disk, running.life(), takes).load(never))?.revision, 1);
    diesAfter.crashAtCall(1, "done", () => diesAfter.kill());
    void simulatedKeeper(disk, diesAfter, takes).save(plan(3), never);
    const keeper = simulatedKeeper(disk, running.life(), takes);
    assert.equal((await keeper.load(never))?.revision, 3);
    disk.full = true;
    await assert.rejects(keeper.save(plan(4), never), { code: "driver_failed" });
    assert.equal((await keeper.load(never))?.revision, 3);
  });
});
