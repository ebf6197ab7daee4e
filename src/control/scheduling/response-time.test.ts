import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { earliestDeadlineFeasible } from "./edf.ts";
import { fillSlots } from "./fill-slots.ts";
import { hyperperiodOf } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import { rateMonotonicFeasible, responseTimes, utilisationBound } from "./response-time.ts";

const task = (execution: number, period: number): PeriodicTask => ({ execution, period });

test("response times are those of the textbook example", () => {
  assert.deepEqual(responseTimes([task(3, 7), task(3, 12), task(5, 20)]), [3, 6, 20]);
});

test("a set above the utilisation bound is admitted when its response times are in time", () => {
  const harmonic = [task(2, 4), task(2, 8), task(4, 16)];
  assert.ok(2 / 4 + 2 / 8 + 4 / 16 > utilisationBound(3));
  assert.ok(rateMonotonicFeasible(harmonic));
  assert.ok(rateMonotonicFeasible([task(3, 7), task(3, 12), task(5, 20)]), "93% where the bound is 78%");
});

test("a set below one processor is refused when a response time is too late, but not by earliest deadlines", () => {
  const set = [task(3, 6), task(4, 9)];
  assert.deepEqual(responseTimes(set), [3, undefined]);
  assert.equal(rateMonotonicFeasible(set), false);
  assert.ok(earliestDeadlineFeasible(set));
});

const anyTasks: fc.Arbitrary<readonly PeriodicTask[]> = fc.array(
  fc
    .record({
      period: fc.constantFrom(2, 3, 4, 5, 6, 8, 10, 12, 15, 20),
      share: fc.integer({ min: 1, max: 7 }),
    })
    .map(({ period, share }) => task(Math.max(1, Math.round((period * share) / 12)), period)),
  { minLength: 1, maxLength: 5 },
);

test("the analysis agrees with laying the slots out, for both policies", () => {
  const seen = { feasible: 0, infeasible: 0 };
  fc.assert(
    fc.property(anyTasks, (tasks) => {
      const length = hyperperiodOf(tasks.map(({ period }) => period));
      const feasible = rateMonotonicFeasible(tasks);
      seen[feasible ? "feasible" : "infeasible"] += 1;
      assert.equal(feasible, fillSlots(tasks, length, "rate-monotonic") !== undefined);
      assert.equal(
        earliestDeadlineFeasible(tasks),
        fillSlots(tasks, length, "earliest-deadline-first") !== undefined,
      );
      assert.equal(
        responseTimes(tasks).every((time) => time !== undefined),
        feasible,
        "the quick tests decide as the exact one",
      );
    }),
    { numRuns: 1000 },
  );
  assert.ok(Math.min(seen.feasible, seen.infeasible) > 100, JSON.stringify(seen));
});
