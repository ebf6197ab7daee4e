import type { EnforcedMachine } from "../port.ts";
import type { WeightClaim } from "../weights.ts";

/** Of a machine with a whole processor reserved, in usual weights. */
const wholeProcessor = 64;
/** So many others per processor, of usual weight, may want it at the same time. */
const competitors = 16;
const usedMax = 0.95;

/**
 * In proportion to what is reserved, so that each gets its part in every interval and not only in the long run, however
 * the periods lie; and the groups above them as heavy as it takes to get all that is reserved out of the competition.
 */
export function bandwidthWeights(machines: readonly EnforcedMachine[], processors: number): WeightClaim {
  const groups = new Map<string, number>();
  let sum = 0;
  let largest = 0;
  for (const { cgroup, reservation } of machines) {
    const share = reservation.executionUs / reservation.periodUs;
    sum += share;
    largest = Math.max(largest, Math.min(share, 1));
    if (cgroup !== undefined) groups.set(cgroup, wholeProcessor * share);
  }
  const used = Math.min(Math.max(sum / processors, largest), usedMax);
  return { groups, outer: Math.max(1, (competitors * used) / (1 - used)) };
}
