/** Runs `execution` in every `period`, which is also its deadline; both in one unit, whole numbers. */
export type PeriodicTask = {
  readonly period: number;
  readonly execution: number;
  /** When what is in it begins anew: a multiple of the period, which it is when absent. */
  readonly repeat?: number;
};

/**
 * Sums of utilisations are compared with this much grace. It is far above what adding rounds away, and far below the
 * least by which a set that fits a dispatch table can exceed a processor (a thousandth of one slot of the longest).
 */
export const utilisationGrace = 1e-9;

export const utilisationOf = (task: PeriodicTask): number => task.execution / task.period;

export function utilisationOfAll(tasks: readonly PeriodicTask[]): number {
  let sum = 0;
  for (const task of tasks) sum += utilisationOf(task);
  return sum;
}

export function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** Infinity where it is beyond what numbers hold exactly. */
export function leastCommonMultiple(a: number, b: number): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return Infinity;
  const multiple = (a / greatestCommonDivisor(a, b)) * b;
  return multiple <= Number.MAX_SAFE_INTEGER ? multiple : Infinity;
}

export const hyperperiodOf = (periods: Iterable<number>): number => {
  let all = 1;
  for (const period of periods) all = leastCommonMultiple(all, period);
  return all;
};

/** Of every two, the longer is a multiple of the shorter. */
export function areHarmonic(periods: Iterable<number>): boolean {
  const distinct = [...new Set(periods)].sort((a, b) => a - b);
  return distinct.every((period, index) => index === 0 || period % (distinct[index - 1] ?? 1) === 0);
}
