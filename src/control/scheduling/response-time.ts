import { areHarmonic, utilisationGrace, utilisationOf, utilisationOfAll } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";

/**
 * Rate monotonic scheduling: the task with the shorter period always goes first (of equal ones, the first in the list).
 *
 * Whether every task meets every deadline is decided exactly, by response-time analysis. The worst case is that all
 * begin together; then task i, with all of shorter period before it, ends after
 *
 *     R = C_i + sum over those before it of ceil(R / P_j) * C_j
 *
 * whose least solution is found by putting R into the right side until it stays the same, or exceeds P_i. The well known
 * bound on utilisation, n (2^(1/n) - 1), is only sufficient, and refuses much that works.
 */

/** Tasks in the order in which they go first, as positions in the list. */
export function rateMonotonicOrder(tasks: readonly PeriodicTask[]): readonly number[] {
  return tasks.map((_, index) => index).sort((a, b) => periodAt(tasks, a) - periodAt(tasks, b) || a - b);
}

/** Longest time from the beginning of a period to the task's end in it; undefined where that misses the period's end. */
export function responseTimes(tasks: readonly PeriodicTask[]): readonly (number | undefined)[] {
  const order = rateMonotonicOrder(tasks);
  const before: PeriodicTask[] = [];
  const times: (number | undefined)[] = tasks.map(() => undefined);
  for (const index of order) {
    const task = tasks[index];
    if (task === undefined) continue;
    times[index] = responseTime(task, before);
    before.push(task);
  }
  return times;
}

function responseTime(task: PeriodicTask, before: readonly PeriodicTask[]): number | undefined {
  let time = task.execution;
  for (const other of before) time += other.execution;
  while (time <= task.period) {
    let next = task.execution;
    for (const other of before) next += Math.ceil(time / other.period) * other.execution;
    if (next === time) return time;
    time = next;
  }
  return undefined;
}

/** Below it, so many tasks are schedulable whatever their periods. */
export const utilisationBound = (count: number): number => (count === 0 ? 1 : count * (2 ** (1 / count) - 1));

/** 2, less what products lose by rounding. */
export const hyperbolicBound = 2 - utilisationGrace;

/** Exact; the quick tests first, that decide most sets. */
export function rateMonotonicFeasible(tasks: readonly PeriodicTask[]): boolean {
  const utilisation = utilisationOfAll(tasks);
  if (utilisation > 1 + utilisationGrace) return false;
  if (hyperbolicProduct(tasks) <= hyperbolicBound) return true;
  if (areHarmonic(tasks.map((task) => task.period))) return true;
  return responseTimes(tasks).every((time) => time !== undefined);
}

/** Of all (utilisation + 1): at most 2 is enough to be schedulable, and refuses less than the bound on their sum. */
export function hyperbolicProduct(tasks: readonly PeriodicTask[]): number {
  let product = 1;
  for (const task of tasks) product *= utilisationOf(task) + 1;
  return product;
}

const periodAt = (tasks: readonly PeriodicTask[], index: number): number => tasks[index]?.period ?? 0;
