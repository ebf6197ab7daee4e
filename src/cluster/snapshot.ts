import type { EnsembleRecord, HostRecord, HostStanding, TunnelRecord } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";
import type { HostId } from "#base/ids.ts";

/** The desired state of a running cloud and what is known of its hosts: where a simulation, or a question, can begin. */
export type CloudSnapshot = {
  readonly format: "consort-snapshot/1";
  readonly takenAtMs: number;
  readonly topology: Topology;
  readonly hosts: readonly HostRecord[];
  readonly standings: Readonly<Record<HostId, HostStanding>>;
  readonly ensembles: readonly EnsembleRecord[];
  readonly tunnels: Readonly<Record<string, Omit<TunnelRecord, "sharedKey">>>;
  /** Processor time each appliance used lately, in thousandths of a core, by id. */
  readonly cpuUsedMilli: Readonly<Record<string, number>>;
};
