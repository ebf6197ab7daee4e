import type { ClusterContext } from "#cluster/context.ts";
import type { EnsembleRecord, HostRecord, HostStanding, TunnelRecord } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";
import type { HostId } from "#base/ids.ts";

/** The desired state of a running cloud and what is known of its hosts: where a simulation, or a question, can begin. */
export type CloudSnapshot = {
  readonly format: "consort-snapshot/1";
  readonly takenAtMs: number;
  readonly topology: Topology;
  readonly hosts: readonly Omit<HostRecord, "blobPort">[];
  readonly standings: Readonly<Record<HostId, HostStanding>>;
  readonly ensembles: readonly Omit<EnsembleRecord, "moves" | "restores" | "parked" | "identities">[];
  readonly tunnels: Readonly<Record<string, Omit<TunnelRecord, "sharedKey">>>;
  /** Processor time each appliance used lately, in thousandths of a core, by id. */
  readonly cpuUsedMilli: Readonly<Record<string, number>>;
};

export function snapshotOf({ parts, state, seen }: ClusterContext): CloudSnapshot {
  const used = state
    .ensembles()
    .flatMap(({ placements }) =>
      Object.entries<HostId>(placements).map(([id, host]) => [id, seen.cpuMilli(host, id)] as const),
    );
  return {
    format: "consort-snapshot/1",
    takenAtMs: parts.clock.now(),
    topology: parts.topology,
    // Without what holds only until its manager starts again.
    hosts: [...state.hosts().values()].map(({ blobPort: _blobPort, ...host }) => host),
    standings: Object.fromEntries(state.standings()),
    // Where everything is; not what is on its way, nor what it began from, which is not in it.
    ensembles: state
      .ensembles()
      .map(
        ({ moves: _moves, restores: _restores, parked: _parked, identities: _identities, ...record }) =>
          record,
      ),
    tunnels: Object.fromEntries(
      [...state.tunnels()].map(([pair, { index, guarded }]) => [pair, { index, guarded }]),
    ),
    cpuUsedMilli: Object.fromEntries(used),
  };
}
