import type { ApplianceId, HostId, Ipv4Address, MacAddress, SiteName } from "#base/ids.ts";
import type { NamedImages } from "#cluster/image-names.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { HostCapacity } from "#protocol/host-report.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Leaving } from "#cluster/leaving.ts";
import type { Moves } from "#cluster/moves.ts";
import type { AllParked } from "#cluster/parking.ts";
import type { RestoreRecord } from "#cluster/checkpoints.ts";
import type { LinkPath } from "#planner/mapping.ts";

/** What the cluster manager keeps, and under which key. One record holds all of an ensemble, so a change of it is one write. */
export const keys = {
  epoch: "epoch",
  /** The longest lease a host may hold, in ms. */
  lease: "lease",
  ensemble: (name: string): string => `ensemble/${name}`,
  host: (id: string): string => `host/${id}`,
  standing: (id: string): string => `standing/${id}`,
  operation: (id: string): string => `operation/${id}`,
  tunnel: (pair: string): string => `tunnel/${pair}`,
  job: (id: string): string => `job/${id}`,
  checkpoints: (appliance: string): string => `checkpoints/${appliance}`,
  checkpointRequest: (id: string): string => `checkpoint-request/${id}`,
  checkpointStore: (id: string): string => `checkpoint-store/${id}`,
  image: (name: string): string => `image/${name}`,
  /** What hosts ask of each other when they copy content. */
  contentToken: "content-token",
  event: (cursor: number): string => `event/${String(cursor).padStart(15, "0")}`,
  prefix: {
    ensemble: "ensemble/",
    host: "host/",
    standing: "standing/",
    operation: "operation/",
    tunnel: "tunnel/",
    job: "job/",
    checkpoints: "checkpoints/",
    checkpointRequest: "checkpoint-request/",
    checkpointStore: "checkpoint-store/",
    image: "image/",
    event: "event/",
  },
} as const;

/** present ──down──► removing ──(no host has anything of it)──► record deleted */
export type EnsembleRecord = {
  readonly ensemble: Ensemble;
  readonly state: "present" | "removing";
  readonly placements: Readonly<Record<ApplianceId, HostId>>;
  readonly paths: readonly LinkPath[];
  readonly networks: Readonly<Record<string, NetworkAllocation>>;
  readonly interfaces: Readonly<Record<ApplianceId, readonly InterfaceAllocation[]>>;
  /** By the names that its virtual machines have them by: as they were when it was last brought up. */
  readonly images?: NamedImages;
  /** Hosts an appliance was placed on before and has not been told to be gone from. */
  readonly leaving: Leaving;
  /**
   * Hosts where an appliance that obeys no lease may run: its own, while its policy is to stay in place or the host
   * has not yet told that it obeys one, and those it has to leave. The end of a lease proves nothing about these.
   */
  readonly unleased: Leaving;
  /** Of its virtual machines, what their keys are made from, wherever they are; see identities.ts. */
  readonly identities?: Readonly<Record<ApplianceId, string>>;
  /** Live moves that are under way; see moves.ts. */
  readonly moves?: Moves;
  /** What virtual machines begin from when they are made; see checkpoints.ts. */
  readonly restores?: Readonly<Record<ApplianceId, RestoreRecord>>;
  /** Suspended to disk, or about to be; see parking.ts. */
  readonly parked?: AllParked;
  /** Ran on a host that was forgotten and are not to be run again, or are on disk: no other host is sought for them. */
  readonly over?: readonly ApplianceId[];
  /** The newest operation on it. */
  readonly operation: string;
  /** Counts accepted changes. */
  readonly revision: number;
};

export type NetworkAllocation = { readonly vni: number; readonly subnet: string };

export type InterfaceAllocation = {
  /** The network's name inside the ensemble. */
  readonly network: string;
  readonly mac: MacAddress;
  readonly address: Ipv4Address;
};

/** What is known of a host between its reports. */
export type HostRecord = {
  readonly id: HostId;
  readonly site: SiteName;
  readonly role: "host" | "gateway";
  readonly address: Ipv4Address;
  readonly siteSubnet: string;
  readonly outsideAddress?: Ipv4Address;
  readonly tunnelPublicKey?: string;
  readonly capacity: HostCapacity;
  readonly labels: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** Where it serves its blobs. */
  readonly blobPort?: number;
};

/** What the managers and the operator have decided about a host; absent: open and trusted. */
export type HostStanding = {
  /**
   * Something it ran has been given to other hosts, or it was forgotten: it is granted no lease until it has told that
   * it has followed its newest plan and has nothing else.
   */
  readonly fenced: boolean;
  /** cordoned: gets nothing new. draining: and what it has is moved away. */
  readonly scheduling: "open" | "cordoned" | "draining";
  /** While it drains: a drain that is cancelled leaves it cordoned, as the operator wants it apart from the drain. */
  readonly staysCordoned?: boolean;
  /** The newest operation on it. */
  readonly operation?: string;
};

/** `undo` is what a cancelled change goes back to: the record before it, or null where there was none. */
export type OperationRecord = {
  readonly operation: Operation;
  readonly undo?: EnsembleRecord | null;
  /** Whom it waits for, when not all of the ensemble. */
  readonly appliances?: readonly ApplianceId[];
  /** Of a migration: where they are to be. */
  readonly destinations?: Readonly<Record<ApplianceId, HostId>>;
};

/** What both ends of an inter-site tunnel must agree on, kept so that it survives restarts. */
export type TunnelRecord = {
  /** Numbers the tunnel's ports and addresses. */
  readonly index: number;
  /** OpenVPN's static key; made once, also when WireGuard is used now. */
  readonly sharedKey: string;
  /**
   * Both gateways hold packets for the other site back from any way but the tunnel. Hosts are told of members at the
   * other site only then, and the tunnel stays until no host speaks of them any more: nothing ever crosses in clear.
   */
  readonly guarded: boolean;
};
