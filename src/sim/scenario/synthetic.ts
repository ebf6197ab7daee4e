import type { Random } from "#base/runtime.ts";
import type { SyntheticShape } from "#formats/scenario-demand.ts";
import { exponential, gaussian } from "#sim/scenario/gaussian.ts";

const dayMs = 86_400_000;
const percentMost = 100;
/** A level above this would be cut off most of the time. */
const levelMost = 95;

/**
 * Samples of the demand of one appliance, in percent from 0 to 100, `shape.periodMs` apart:
 *
 *   level     log-normal over appliances: median × exp(spread × N(0, 1)), one draw for all of it
 *   day       level × daily × sin(2π t / day)
 *   noise     level × noise × e(t),   e(t) = memory × e(t − 1) + √(1 − memory²) × N(0, 1)
 *   bursts    each sample with the chance of burstsPerDay ÷ samples in a day: one draw from an exponential
 *             distribution of mean `burst`
 *
 * Cut off below 0 and above 100, which raises the mean of noisy ones a little.
 */
export function syntheticSamples(shape: SyntheticShape, count: number, random: Random): Float32Array {
  const level = Math.min(levelMost, shape.median * Math.exp(shape.spread * gaussian(random)));
  const fresh = Math.sqrt(1 - shape.memory ** 2);
  const burstChance = (shape.burstsPerDay * shape.periodMs) / dayMs;
  let noise = gaussian(random);
  return Float32Array.from({ length: count }, (_, index) => {
    const day = shape.daily * Math.sin((2 * Math.PI * index * shape.periodMs) / dayMs);
    const burst = random.next() < burstChance ? exponential(random, shape.burst) : 0;
    const value = level * (1 + day + shape.noise * noise) + burst;
    noise = shape.memory * noise + fresh * gaussian(random);
    return Math.max(0, Math.min(percentMost, value));
  });
}
