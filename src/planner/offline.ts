import type { Ensemble } from "#model/ensemble.ts";
import type { ConnectionType, Topology } from "#model/topology.ts";
import { describedAbilities } from "#planner/demand.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { SolveOptions } from "#planner/mapper.ts";
import type { MappingCost, Violation } from "#planner/mapping.ts";

/** The answer of `consort plan --topology FILE ENSEMBLE --json`; its schema is docs/reference/plan-offline.md. */
export type OfflinePlan = {
  readonly placement: Readonly<Record<string, string>>;
  readonly paths: readonly {
    readonly from: string;
    readonly to: string;
    readonly network: string;
    readonly connection: ConnectionType;
    readonly nodes: readonly string[];
    readonly bandwidthBps: number;
    readonly wireBps: number;
    readonly latencyUs: number;
  }[];
  readonly violations: readonly Violation[];
  readonly score: number;
  readonly cost: MappingCost;
  readonly timeMs: number;
};

export type OfflineOptions = SolveOptions & {
  /** Monotonic milliseconds, for `timeMs` alone. */
  readonly elapsedMs: () => number;
};

/** Places ensembles on an empty, described cluster; no daemon is asked. */
export function planOffline(
  topology: Topology,
  ensembles: readonly Ensemble[],
  options: OfflineOptions,
): OfflinePlan {
  const started = options.elapsedMs();
  const mapping = solveMapping(
    { topology, ensembles, existing: [], capabilities: describedAbilities(topology) },
    options,
  );
  return {
    placement: Object.fromEntries(mapping.placements),
    paths: mapping.paths.map(({ link, connection, nodes, wireBps, latencyUs }) => ({
      from: link.from,
      to: link.to,
      network: link.network,
      connection,
      nodes,
      bandwidthBps: link.spec.bandwidthBps ?? 0,
      wireBps,
      latencyUs,
    })),
    violations: mapping.violations,
    score: mapping.score,
    cost: mapping.cost,
    timeMs: options.elapsedMs() - started,
  };
}
