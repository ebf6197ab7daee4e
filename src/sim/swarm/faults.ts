import type { Random } from "#base/runtime.ts";
import type { Fault } from "#sim/fault.ts";
import { between, pick, someOf } from "#sim/swarm/draw.ts";
import { faultKinds } from "#sim/swarm/fault-kinds.ts";
import type { Breakable } from "#sim/swarm/fault-kinds.ts";

export const allFaultKinds = Object.keys(faultKinds) as Fault["kind"][];

/**
 * A list of faults in order of time. Every seed has only some of the kinds: what only one kind brings out is not
 * hidden behind what another does all the time (Groce et al., Swarm Testing).
 */
export function drawFaults(
  random: Random,
  there: Breakable,
  shape: {
    readonly fromMs: number;
    readonly untilMs: number;
    readonly faults: number;
    readonly kinds: readonly Fault["kind"][];
    readonly kindShare: number;
  },
): Fault[] {
  const kinds = someOf(random, shape.kinds, shape.kindShare);
  if (kinds.length === 0) return [];
  return Array.from({ length: shape.faults }, () => ({
    ...faultKinds[pick(random, kinds)](random, there),
    atMs: between(random, shape.fromMs, shape.untilMs),
  })).sort((a, b) => a.atMs - b.atMs);
}
