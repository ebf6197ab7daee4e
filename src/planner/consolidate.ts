import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Appliance } from "#model/appliances.ts";
import { cpuDemandMilli, memoryDemandBytes } from "#planner/demand.ts";
import { departureProblem } from "#planner/departure.ts";
import type { PlacedCloud } from "#planner/departure.ts";
import { existingLoad } from "#planner/existing-load.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { SolveOptions } from "#planner/mapper.ts";
import type { HeldCapacity, PlacedEnsemble } from "#planner/mapping.ts";
import { appliancesByHost, placedBy } from "#planner/placed.ts";

export type ConsolidationProblem = PlacedCloud & {
  /** Never moved for this; a host with one of them stays in use. */
  readonly immovable?: ReadonlySet<ApplianceId>;
};

export type Consolidation = {
  /** In use before, empty after. */
  readonly host: HostId;
  readonly moves: readonly { readonly appliance: ApplianceId; readonly from: HostId; readonly to: HostId }[];
  /** The ensembles concerned as they will be, with all their links. */
  readonly placed: readonly PlacedEnsemble[];
};

/**
 * Proposes to empty one host: all that is on it moves to other hosts that are in use already, keeping every promise,
 * and nobody else moves. The host with the fewest appliances is taken first, of equals the first of the topology (hosts
 * are filled from the last). Every proposal leaves one host fewer in use, so carried out again and again they end.
 * Undefined: no host can be emptied so.
 */
export function proposeConsolidation(
  problem: ConsolidationProblem,
  options: SolveOptions,
): Consolidation | undefined {
  const here = appliancesByHost(problem.placed);
  const order = new Map(problem.topology.hosts.map((host, index) => [host.id, index]));
  const candidates = [...here.keys()]
    .filter((host) => order.has(host) && problem.unusableHosts?.has(host) !== true)
    .sort((a, b) => here.get(a)!.length - here.get(b)!.length || order.get(a)! - order.get(b)!);
  const load = existingLoad({ topology: problem.topology, ensembles: [], existing: problem.placed });
  for (const host of candidates) {
    if (options.shouldStop?.() === true) return undefined;
    const leaving = here.get(host)!;
    if (leaving.some(({ id }) => problem.immovable?.has(id) === true)) continue;
    if (!mayFit(problem, host, leaving, here, load)) continue;
    const found = emptied(problem, host, new Set(leaving.map(({ id }) => id)), here, options);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Each alone finds room on some host in use: without that no search is worth its time. */
function mayFit(
  problem: ConsolidationProblem,
  host: HostId,
  leaving: readonly Appliance[],
  here: ReadonlyMap<HostId, readonly Appliance[]>,
  load: HeldCapacity,
): boolean {
  const { topology, unusableHosts } = problem;
  const rooms = topology.hosts.flatMap(({ id, cpuMilli, memoryBytes }, index) =>
    id === host || !here.has(id) || unusableHosts?.has(id) === true
      ? []
      : [{ cpu: cpuMilli - load.cpu[index]!, memory: memoryBytes - load.memory[index]! }],
  );
  return leaving.every(({ spec }) =>
    rooms.some((room) => room.cpu >= cpuDemandMilli(spec) && room.memory >= memoryDemandBytes(spec)),
  );
}

function emptied(
  problem: ConsolidationProblem,
  host: HostId,
  leaving: ReadonlySet<ApplianceId>,
  here: ReadonlyMap<HostId, unknown>,
  options: SolveOptions,
): Consolidation | undefined {
  const closed = problem.topology.hosts.map(({ id }) => id).filter((id) => id === host || !here.has(id));
  const asked = { ...departureProblem(problem, leaving, closed), policy: "pack" as const };
  const mapping = solveMapping(asked, options);
  if (mapping.violations.length > 0 || lintMapping(asked, mapping).length > 0) return undefined;
  return {
    host,
    moves: [...leaving].map((appliance) => ({
      appliance,
      from: host,
      to: mapping.placements.get(appliance)!,
    })),
    placed: placedBy(asked.ensembles, mapping),
  };
}
