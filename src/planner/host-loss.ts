import type { HostId } from "#base/ids.ts";
import { departureProblem } from "#planner/departure.ts";
import type { PlacedCloud } from "#planner/departure.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { SolveOptions } from "#planner/mapper.ts";
import type { Violation } from "#planner/mapping.ts";
import { appliancesByHost } from "#planner/placed.ts";

/** A host whose loss would leave something leased without a place. */
export type FatalLoss = { readonly host: HostId; readonly violations: readonly Violation[] };

/** Nearly all losses are mended at once; only where that fails is it worth to look harder. */
const glanceEffort = 0.05;

/**
 * Hosts in turn, those of `first` before all others: with this one gone alone, does all that is leased and on it find a
 * place on the others, links included, while everybody else stays and goes on counting, those also that wait in place
 * on the lost host? The first for which it does not; undefined: the loss of any one host can be mended.
 */
export function fatalLoss(
  cloud: PlacedCloud,
  options: SolveOptions,
  first: readonly HostId[] = [],
): FatalLoss | undefined {
  const here = appliancesByHost(cloud.placed);
  const order = new Set([...first, ...cloud.topology.hosts.map(({ id }) => id)]);
  for (const host of order) {
    if (options.shouldStop?.() === true) return undefined;
    const leased = (here.get(host) ?? []).filter(({ spec }) => spec.onHostLoss === "elsewhere");
    if (leased.length === 0) continue;
    const problem = departureProblem(cloud, new Set(leased.map(({ id }) => id)), [host]);
    if (solveMapping(problem, { ...options, effort: glanceEffort }).violations.length === 0) continue;
    const { violations } = solveMapping(problem, options);
    if (violations.length > 0) return { host, violations };
  }
  return undefined;
}
