import type { ApplianceId } from "#base/ids.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { ClusterManager } from "#cluster/manager.ts";
import type { ClusterManagerParts } from "#cluster/manager.ts";
import type { ClusterService } from "#cluster/service.ts";
import { HostManager } from "#host/manager.ts";
import type { HostManagerParts } from "#host/manager.ts";
import type { HostRecord } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";

/** A time in ms is drawn uniformly between the two. */
export type Spread = readonly [least: number, most: number];

/** What a simulation is made of. Equal descriptions give equal runs, to the last event. */
export type CloudDescription = {
  readonly topology: Topology;
  readonly seed: number;
  /** The machines, gateways among them; absent: one for each host and gateway of the topology. */
  readonly hosts?: readonly HostRecord[];
  /** Its records are in the store before any manager starts. */
  readonly snapshot?: CloudSnapshot;
  readonly settings?: Partial<SimulationSettings>;
};

/** How long things take, in virtual ms, and what else may differ between simulations. */
/** In thousandths of a core: the same at every moment, or by the moment of the run in ms. */
export type Demand = number | ((atMs: number) => number);

export type SimulationSettings = {
  /** One call of a local driver, from asked to answered. */
  readonly callMs: Spread;
  /** To the store and back, each. */
  readonly storeMs: Spread;
  /** One message, one way. */
  readonly messageMs: Spread;
  /** Making a plan durable on a host's disk. */
  readonly diskMs: Spread;
  readonly createMs: Spread;
  readonly startMs: Spread;
  /** Polite programs end so soon after they were told to. */
  readonly stopMs: Spread;
  readonly destroyMs: Spread;
  /** The state of a virtual machine from one host to another, and then its disks. */
  readonly moveMs: Spread;
  /** Until a machine stands still for a checkpoint. */
  readonly checkpointMs: Spread;
  /** A part of a checkpoint from one host to another. */
  readonly copyMs: Spread;
  readonly networkMs: Spread;
  readonly solveMs: Spread;
  /** A process that ended by itself is started again after so long. */
  readonly restartMs: Spread;
  /** A line whose packets do not arrive is given up after so long. */
  readonly keepAliveMs: Spread;
  /** A host notices that a newer cluster manager has the address of the one it is connected to. */
  readonly followMs: Spread;
  readonly mapperEffort: number;
  /** Check every message's form and freeze it, so that a receiver that changes one fails. Slow. */
  readonly freezesMessages: boolean;
  /** Trace lines kept: the newest so many. The fingerprint covers all. */
  readonly traceLinesKept: number;
  /** Processor time an appliance would use; absent: a tenth of a core. */
  readonly demandOf: (appliance: ApplianceId) => Demand;
  /** How managers are made: the real ones, unless a test breaks them on purpose. */
  readonly hostManager: (parts: HostManagerParts) => { run(signal: AbortSignal): Promise<void> };
  readonly clusterManager: (parts: ClusterManagerParts) => SimulatedClusterManager;
  /** Hosts work out which pairs may talk to each other, as their kernels must; that takes most of the memory. */
  readonly permitsPairs: boolean;
  /** Hosts hold content, take checkpoints and restore from them: for clouds with virtual machines. */
  readonly takesCheckpoints: boolean;
  /** Leases are obeyed by the machines; false breaks them on purpose. */
  readonly machinesObeyLeases: boolean;
};

/**
 * Times as measured of the real drivers (docs/benchmarks.md): a pooled task begins 7 ms after it was asked for, a cold
 * one 30; the network of a host follows its plan within a millisecond; a polite program ends at once.
 */
export const defaultSettings: SimulationSettings = {
  callMs: [0.02, 0.5],
  storeMs: [0.3, 3],
  messageMs: [0.1, 2],
  diskMs: [0.5, 8],
  createMs: [2, 20],
  startMs: [2, 12],
  stopMs: [1, 15],
  destroyMs: [1, 10],
  moveMs: [20, 1500],
  checkpointMs: [5, 200],
  copyMs: [1, 60],
  networkMs: [0.05, 1],
  solveMs: [2, 40],
  restartMs: [200, 1000],
  keepAliveMs: [2000, 6000],
  followMs: [50, 8000],
  mapperEffort: 0.2,
  freezesMessages: false,
  traceLinesKept: 0,
  demandOf: () => 100,
  hostManager: (parts) => new HostManager(parts),
  clusterManager: (parts) => new ClusterManager(parts),
  permitsPairs: true,
  takesCheckpoints: true,
  machinesObeyLeases: true,
};

export type SimulatedClusterManager = ClusterService & {
  start(signal: AbortSignal): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
};
