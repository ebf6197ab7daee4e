import assert from "node:assert/strict";
import { test } from "node:test";
import { micros } from "#base/units.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import { publish, publishSlots } from "./halves.ts";
import type { PlacedTarget } from "./halves.ts";
import { DispatchLoop } from "./loop.ts";
import { TableMemory, jobState, word } from "./memory.ts";
import { busiestColumn } from "./targets.ts";

/** A loop over jobs that only remember whether they run, and every call that was made. */
function rig(columns: readonly (readonly number[])[], jobs: number) {
  const memory = TableMemory.alone();
  const stopped = new Set<number>();
  const gone = new Set<number>();
  const calls: string[] = [];
  const touched: number[] = [];
  const unreached = new Set<number>();
  const usedUs = new Map<number, number>();
  const tell = (verb: string, job: number, act: () => void): boolean => {
    calls.push(`${verb} ${job}`);
    if (gone.has(job)) return false;
    act();
    return true;
  };
  const loop = new DispatchLoop(memory, {
    reachable: (job) => !unreached.has(job),
    stop: (job) => tell("stop", job, () => stopped.add(job)),
    go: (job) => tell("go", job, () => stopped.delete(job)),
    touch: (job, isStopped) => {
      assert.equal(isStopped, stopped.has(job), "touched as what it is not");
      touched.push(job);
    },
    usedUs: (job) => usedUs.get(job) ?? -1,
    release: (job) => {
      memory.jobStates[job] = jobState.free;
    },
  });
  for (let job = 0; job < jobs; job += 1) memory.jobStates[job] = jobState.wanted;
  memory.header[word.jobsUsed] = jobs;
  const table: DispatchTable = {
    quantumUs: micros(10_000),
    policy: "rate-monotonic",
    targets: [],
    slots: columns.map((column) => Int32Array.from(column)),
  };
  let slot = -1;
  return {
    memory,
    gone,
    unreached,
    /** CPU time it has used by now, which is told from then on. */
    uses: (job: number, us: number): void => void usedUs.set(job, (usedUs.get(job) ?? 0) + us),
    calls,
    publish: (targets: readonly PlacedTarget[]) => {
      publish(memory, table, targets);
      memory.header[word.structure] = (memory.header[word.structure] ?? 0) + 1;
    },
    /** Who runs in the next slot. */
    next: (lateUs = 0): number[] => {
      calls.length = 0;
      slot += 1;
      loop.dispatch(slot, lateUs, 0);
      return Array.from({ length: jobs }, (_each, job) => job).filter((job) => !stopped.has(job));
    },
    prepare: () => {
      touched.length = 0;
      loop.prepare(slot + 1);
      return touched;
    },
    begins: () => loop.begins(slot + 1),
    owe: (begunUs: number, interruptedUs = 0) => loop.owe(begunUs, interruptedUs),
    overtimeUs: () => loop.overtimeUs(),
    /** Who runs then. */
    endOvertime: (afterUs: number): number[] => {
      loop.endOvertime(afterUs);
      return Array.from({ length: jobs }, (_each, job) => job).filter((job) => !stopped.has(job));
    },
    end: () => loop.end(),
    stopped,
  };
}

const alone = (machine: number, jobs: readonly number[]): PlacedTarget => ({
  machine,
  cursor: machine,
  suspended: false,
  turns: [jobs],
});

test("each slot is its target's, an idle one nobody's, and the table repeats", () => {
  const { publish: put, next } = rig([[0, 1, -1]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  assert.deepEqual([next(), next(), next(), next()], [[0], [1], [], [0]]);
});

test("a target that goes on is not touched, and a change of target is one stop and one continue", () => {
  const { publish: put, next, calls } = rig([[0, 0, 1]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  next();
  next();
  assert.deepEqual(calls, []);
  next();
  assert.deepEqual(calls, ["stop 0", "go 1"]);
});

test("jobs of a team take turns, slot after slot of its own, also across another table", () => {
  const { publish: put, next } = rig([[0, 1]], 3);
  const targets = [{ ...alone(0, []), turns: [[0], [1]] }, alone(1, [2])];
  put(targets);
  assert.deepEqual([next(), next(), next()], [[0], [2], [1]]);
  put(targets);
  assert.deepEqual([next(), next()], [[2], [0]]);
});

test("before a slot those it will change are touched, and nothing is changed", () => {
  const { publish: put, next, prepare, memory } = rig([[0, 1, 1]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  next();
  assert.deepEqual(prepare(), [0, 1]);
  assert.deepEqual([...memory.stopped.subarray(0, 2)], [0, 1]);
  assert.deepEqual(next(), [1]);
});

test("columns run at the same time", () => {
  const { publish: put, next } = rig(
    [
      [0, -1],
      [1, 1, 1],
    ],
    2,
  );
  put([alone(0, [0]), alone(1, [1])]);
  assert.deepEqual([next(), next(), next(), next()], [[0, 1], [1], [0, 1], [1]]);
});

test("changed slots take effect at the next one, all together", () => {
  const { memory, publish: put, next } = rig([[0, 1, 0, 1]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  next();
  publishSlots(memory, [
    { processor: 0, slot: 1, target: 0 },
    { processor: 0, slot: 2, target: 1 },
  ]);
  assert.deepEqual([next(), next(), next()], [[0], [1], [1]]);
  publishSlots(memory, [{ processor: 0, slot: 0, target: -1 }]);
  assert.deepEqual([next(), next()], [[], [0]]);
});

test("a suspended machine keeps its slots and does not run in them", () => {
  const { memory, publish: put, next } = rig([[0, 1]], 2);
  put([{ ...alone(0, [0]), suspended: true }, alone(1, [1])]);
  assert.deepEqual([next(), next(), next()], [[], [1], []]);
  assert.equal(memory.dispatches[0], 0);
});

test("who leaves is continued once and runs on, and its number is free again", () => {
  const { memory, publish: put, next } = rig([[0, 0]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  assert.deepEqual(next(), [0]);
  memory.jobStates[1] = jobState.leaving;
  put([alone(0, [0])]);
  assert.deepEqual(next(), [0, 1]);
  assert.equal(memory.jobStates[1], jobState.free);
  assert.deepEqual(next(), [0, 1]);
});

test("a job that is gone is not remembered as stopped", () => {
  const { memory, gone, publish: put, next } = rig([[0, 1]], 2);
  gone.add(0);
  put([alone(0, [0]), alone(1, [1])]);
  next();
  next();
  assert.equal(memory.stopped[0], 0);
  assert.equal(memory.stopped[1], 0);
});

test("late slots are counted, and the latest remembered, of the machine they are late for", () => {
  const { memory, publish: put, next } = rig([[0, 1]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  next(999);
  next(1001);
  next(50);
  assert.deepEqual([...memory.dispatches.subarray(0, 2)], [2, 1]);
  assert.deepEqual([...memory.misses.subarray(0, 2)], [0, 1]);
  assert.deepEqual([...memory.latestUs.subarray(0, 2)], [999, 1001]);
});

test("at the end nobody is left stopped", () => {
  const { publish: put, next, end, stopped, memory } = rig([[0]], 5);
  put([alone(0, [0])]);
  assert.deepEqual(next(), [0]);
  assert.equal(stopped.size, 4);
  end();
  assert.equal(stopped.size, 0);
  assert.ok(memory.stopped.subarray(0, 5).every((mark) => mark === 0));
});

test("a slot in which nobody begins to run is told from one that somebody waits for", () => {
  const table = rig([[0, 0, -1, 1]], 2);
  table.publish([alone(0, [0]), alone(1, [1])]);
  table.next();
  assert.equal(table.begins(), false, "the same job goes on");
  table.next();
  assert.equal(table.begins(), false, "the slot is nobody's");
  table.next();
  assert.equal(table.begins(), true);
});

test("the dispatcher is to run where most targets have slots", () => {
  const slots = [[0, 0, -1], [1, 2, 1], [-1]].map((column) => Int32Array.from(column));
  assert.equal(busiestColumn({ quantumUs: micros(1000), policy: "rate-monotonic", targets: [], slots }), 1);
});

test("who was stopped by its owner before it can be reached is continued in a later slot", () => {
  const { publish: put, next, unreached, stopped, memory } = rig([[0]], 1);
  put([alone(0, [0])]);
  unreached.add(0);
  stopped.add(0);
  memory.stopped[0] = 1;
  assert.deepEqual(next(), []);
  assert.equal(memory.stopped[0], 1, "it is not taken for one that runs");
  unreached.clear();
  assert.deepEqual(next(), [0]);
});

test("many jobs that come at once are stopped over several slots, all of them, also when more come meanwhile", () => {
  const { publish: put, next, memory } = rig([[0, -1]], 600);
  const targets = [alone(0, [599])];
  put(targets);
  const acknowledged = (): number => memory.header[word.acknowledged] ?? 0;
  const before = acknowledged();
  assert.equal(next().length, 600 - 256, "so many as one slot has time for");
  assert.equal(acknowledged(), before, "nobody is told that the table is in effect");
  put(targets);
  assert.equal(next().length, 600 - 2 * 256 - 1, "it goes on where it was, and job 599 has no slot now");
  assert.deepEqual(next(), [599]);
  assert.deepEqual(next(), []);
  assert.notEqual(acknowledged(), before);
});

test("who lost time of a slot makes it up in the idle one behind it, and is stopped when that is done", () => {
  const { publish: put, next, owe, overtimeUs, endOvertime } = rig([[0, -1]], 1);
  put([alone(0, [0])]);
  next();
  owe(1200);
  assert.equal(overtimeUs(), 0, "it has its slot still");
  assert.deepEqual(next(), [0], "it is left running");
  owe(90, 90);
  assert.equal(overtimeUs(), 1200);
  assert.deepEqual(endOvertime(1199), [0]);
  assert.deepEqual(endOvertime(1200), []);
  assert.equal(overtimeUs(), 0);
  assert.deepEqual(next(), [0]);
  owe(100);
  assert.deepEqual(next(), [], "so little is not worth it");
});

test("what was lost in slots one after another adds up, and may take several idle ones", () => {
  const { publish: put, next, owe, overtimeUs, endOvertime } = rig([[0, 0, -1, -1, -1]], 1);
  put([alone(0, [0])]);
  next();
  owe(8000, 8000);
  next();
  owe(9999, 4000);
  assert.deepEqual(next(), [0]);
  assert.equal(overtimeUs(), 12_000, "begun late, then interrupted");
  assert.deepEqual(next(), [0], "longer than a slot");
  assert.equal(overtimeUs(), 2000);
  assert.deepEqual(endOvertime(2000), []);
  assert.deepEqual(next(), []);
});

test("nobody loses a slot by what another makes up, and what is then not made up is forgotten", () => {
  const { publish: put, next, owe, overtimeUs } = rig([[0, 1, -1]], 2);
  put([alone(0, [0]), alone(1, [1])]);
  next();
  owe(5000);
  assert.deepEqual(next(), [1]);
  assert.deepEqual(next(), []);
  assert.equal(overtimeUs(), 0);
});

test("each processor is made up on by itself", () => {
  const slots = [
    [0, -1],
    [1, -1],
    [2, 2],
  ];
  const { publish: put, next, owe, overtimeUs, endOvertime } = rig(slots, 3);
  put([alone(0, [0]), alone(1, [1]), alone(2, [2])]);
  next();
  owe(3000);
  assert.deepEqual(next(), [0, 1, 2]);
  assert.equal(overtimeUs(), 3000);
  assert.deepEqual(endOvertime(3000), [2]);
});

test("what is suspended, or has other slots meanwhile, makes up for nothing", () => {
  const { publish: put, next, owe, overtimeUs, memory } = rig([[0, -1]], 1);
  put([alone(0, [0])]);
  next();
  owe(5000);
  put([{ ...alone(0, [0]), suspended: true }]);
  assert.deepEqual(next(), []);
  put([alone(0, [0])]);
  next();
  owe(5000);
  publishSlots(memory, [{ processor: 0, slot: 1, target: -1 }]);
  assert.deepEqual(next(), []);
  assert.equal(overtimeUs(), 0);
});

test("what a machine leaves of its slots it may have in the idle ones behind them, and no more", () => {
  const { publish: put, next, uses, overtimeUs, endOvertime } = rig([[0, 0, -1, -1]], 1);
  put([alone(0, [0])]);
  next();
  uses(0, 4000);
  next();
  uses(0, 4000);
  assert.deepEqual(next(), [], "what it had used before is not known the first time");
  next();
  next();
  uses(0, 4000);
  next();
  uses(0, 10_000);
  assert.deepEqual(next(), [0], "it slept in one of its slots");
  assert.equal(overtimeUs(), 6000);
  uses(0, 2000);
  assert.deepEqual(endOvertime(6000), [0], "it slept then, too");
  assert.equal(overtimeUs(), 10_000);
  uses(0, 1000);
  assert.deepEqual(next(), [0]);
  assert.equal(overtimeUs(), 3000);
  uses(0, 3000);
  assert.deepEqual(endOvertime(3000), []);
  next();
  uses(0, 10_000);
  next();
  uses(0, 10_000);
  assert.deepEqual(next(), [], "it has had all of its slots");
});

test("what is left is of one turn of slots, and what it had too much is taken from what it leaves later", () => {
  const { publish: put, next, uses, overtimeUs, endOvertime } = rig([[0, -1]], 1);
  put([alone(0, [0])]);
  next();
  uses(0, 0);
  next();
  next();
  assert.deepEqual(next(), [0]);
  assert.equal(overtimeUs(), 10_000);
  uses(0, 4000);
  next();
  uses(0, 7000);
  assert.deepEqual(next(), [0]);
  assert.equal(overtimeUs(), 3000, "the rest of the turn before is not kept");
  // The kernel tells what was used on another processor a little late.
  uses(0, 5000);
  assert.deepEqual(endOvertime(3000), []);
  next();
  uses(0, 6000);
  assert.deepEqual(next(), [0]);
  assert.equal(overtimeUs(), 2000);
});

test("jobs that run together share what they leave; of those that take turns nothing is left", () => {
  const slots = [
    [0, -1],
    [1, -1],
  ];
  const { publish: put, next, uses, overtimeUs } = rig(slots, 4);
  put([alone(0, [0, 1]), { ...alone(1, []), turns: [[2], [3]] }]);
  for (const job of [0, 1, 2, 3]) uses(job, 0);
  for (const job of [2, 3, 2]) {
    assert.deepEqual(next(), [0, 1, job]);
    next();
  }
  next();
  uses(0, 5000);
  uses(1, 2000);
  assert.deepEqual(next(), [0, 1]);
  assert.equal(overtimeUs(), 3000);
});

test("of jobs whose use is not told nothing is left", () => {
  const { publish: put, next, overtimeUs } = rig([[0, -1]], 1);
  put([alone(0, [0])]);
  for (let round = 0; round < 3; round += 1) {
    assert.deepEqual(next(), [0]);
    assert.deepEqual(next(), []);
    assert.equal(overtimeUs(), 0);
  }
});
