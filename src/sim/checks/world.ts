import type { ApplianceId, HostId } from "#base/ids.ts";
import type { CheckpointRequest, CheckpointsRecord } from "#cluster/checkpoints.ts";
import type { EnsembleRecord, HostStanding } from "#cluster/records.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import type { Topology } from "#model/topology.ts";
import type { SegmentPlan, ShapedPair } from "#protocol/host-plan.ts";
import type { Bytes } from "#base/units.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { ApplianceState } from "#protocol/host-report.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** All that can be seen of a cloud from outside at one moment, as plain data. */
export type World = {
  readonly topology: Topology;
  readonly records: readonly EnsembleRecord[];
  readonly standings: ReadonlyMap<HostId, HostStanding>;
  readonly operations: readonly Operation[];
  readonly checkpoints: readonly CheckpointsRecord[];
  readonly checkpointRequests: readonly CheckpointRequest[];
  readonly machines: readonly MachineState[];
};

export type MachineState = {
  readonly host: HostId;
  readonly appliances: readonly {
    readonly id: ApplianceId;
    readonly state: ApplianceState;
    /** What it is limited to. */
    readonly cpu?: CpuRequest | undefined;
    readonly memoryBytes?: Bytes | undefined;
    /** The checkpoint it was made from. */
    readonly beganFrom?: string | undefined;
    /** It goes on from what it was on another host. */
    readonly cameByMove?: boolean;
  }[];
  readonly network: {
    readonly segments: readonly Pick<SegmentPlan, "network">[];
    readonly ports: readonly {
      readonly appliance: ApplianceId;
      readonly interface: Pick<NetworkPlan["ports"][number]["interface"], "network" | "mac">;
    }[];
    readonly shapedPairs: readonly Pick<ShapedPair, "fromMac" | "toMac" | "rateBps">[];
    /** Networks with permitted pairs of senders and receivers. */
    readonly permitted: readonly string[];
  };
  /** Appliances whose live move has a side here. */
  readonly moving: readonly ApplianceId[];
  /** Peer sites of the tunnels that end here. */
  readonly tunnels: readonly string[];
  /** Appliances of which it has checkpoints on record. */
  readonly saved: readonly ApplianceId[];
  /** How many parts of checkpoints are on its disk. */
  readonly blobs: number;
  /** By its plan: what appliances are to have begun from. */
  readonly restores: ReadonlyMap<ApplianceId, string>;
  readonly planned: readonly ApplianceId[];
};
