import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { partition } from "./partition.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import type { ProcessorCapacity } from "./reservation.ts";

const whole: ProcessorCapacity = { milli: 1000 };
const half: ProcessorCapacity = { milli: 500 };
const percent = (share: number): PeriodicTask => ({ period: 100, execution: share });
const policy = "rate-monotonic";

test("the greatest go first, each to the first processor it fits on", () => {
  const parted = partition(
    [percent(30), percent(60), percent(70), percent(40)],
    [whole, whole],
    policy,
    "thorough",
  );
  assert.deepEqual(parted.ok && parted.processorOf, [0, 1, 0, 1]);
});

test("what first fit cannot place is found by searching", () => {
  const sizes = [44, 28, 28, 40, 30, 30].map(percent);
  const parted = partition(sizes, [whole, whole], policy, "thorough");
  assert.ok(parted.ok);
  assert.ok(!partition(sizes, [whole, whole], policy, "quick").ok);
  assert.equal(parted.processorOf[0], parted.processorOf[1]);
});

test("half a processor is filled by half", () => {
  const parted = partition([percent(50), percent(95)], [half, whole], policy, "thorough");
  assert.deepEqual(parted.ok && parted.processorOf, [0, 1]);
  const refused = partition([percent(50), percent(95), percent(6)], [half, whole], policy, "thorough");
  assert.deepEqual(!refused.ok && refused.misfit, 2);
});

test("the answer does not depend on the order in which tasks are given", () => {
  const anyTask = fc.record({
    period: fc.constantFrom(20, 30, 40, 60, 80),
    execution: fc.integer({ min: 1, max: 20 }),
  });
  const shuffled = fc
    .array(anyTask, { minLength: 1, maxLength: 9 })
    .chain((tasks) => fc.tuple(fc.constant(tasks), fc.shuffledSubarray(tasks, { minLength: tasks.length })));
  const seen = { placed: 0, refused: 0 };
  fc.assert(
    fc.property(shuffled, ([tasks, again]) => {
      const { ok } = partition(tasks, [whole, half, whole], policy, "thorough");
      seen[ok ? "placed" : "refused"] += 1;
      assert.equal(partition(again, [whole, half, whole], policy, "thorough").ok, ok);
    }),
    { numRuns: 500 },
  );
  assert.ok(Math.min(seen.placed, seen.refused) > 15, JSON.stringify(seen));
});
