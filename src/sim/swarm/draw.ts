import type { Random } from "#base/runtime.ts";

/** One of them, each as likely; throws when there are none. */
export function pick<One>(random: Random, list: readonly One[]): One {
  const one = list[random.integer(list.length)];
  if (one === undefined) throw new RangeError("Cannot draw from nothing");
  return one;
}

export const chance = (random: Random, share: number): boolean => random.next() < share;

/** A whole number, both ends included. */
export function between(random: Random, least: number, most: number): number {
  return least + random.integer(most - least + 1);
}

/** Mostly short, now and then long: durations of faults differ by orders of magnitude. */
export function lasting(random: Random, leastMs: number, mostMs: number): number {
  return Math.round(leastMs * (mostMs / leastMs) ** random.next());
}

/** Each is in with this share; never none, if there are any. */
export function someOf<One>(random: Random, list: readonly One[], share: number): One[] {
  const some = list.filter(() => chance(random, share));
  return some.length > 0 || list.length === 0 ? some : [pick(random, list)];
}
