import { seededRandom } from "#base/seeded-random.ts";
import type { Random } from "#base/runtime.ts";

/** One draw from the normal distribution of mean 0 and deviation 1 (Box and Muller). */
export function gaussian(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}

/** One draw from the exponential distribution of that mean. */
export const exponential = (random: Random, mean: number): number => -mean * Math.log(1 - random.next());

/** Chance of its own for everything that has a name, so that one more of them changes none of the others. */
export function randomOf(seed: number, name: string): Random {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return seededRandom(hash >>> 1);
}
