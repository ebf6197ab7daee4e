import type {
  ApplianceId,
  EnsembleName,
  HostId,
  Ipv4Address,
  MacAddress,
  NetworkId,
  SiteName,
} from "#base/ids.ts";
import type { BitsPerSecond, Bytes, Micros, MilliCpu, Millis } from "#base/units.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import type { Enforcement } from "#model/ensemble.ts";
import type { Digest, Image } from "#model/image.ts";
import type { JobState } from "#model/job.ts";

/** Observed state of one host, sent after every converge, and at every heartbeat unless a Heartbeat says as much. */
export type HostReport = {
  readonly host: HostId;
  readonly site: SiteName;
  readonly role: "host" | "gateway";
  readonly at: Millis;
  /** Underlay address: where VXLAN packets for this host go. */
  readonly address: Ipv4Address;
  /** The underlay network of its site, in CIDR: what other sites reach through its gateway. */
  readonly siteSubnet: string;
  /** gateway: the address other sites' gateways reach it at. */
  readonly outsideAddress?: Ipv4Address;
  /** gateway: its WireGuard public key, base64. */
  readonly tunnelPublicKey?: string;
  readonly capacity: HostCapacity;
  readonly labels: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** Highest (epoch, revision) accepted: durable here. */
  readonly epoch: number;
  readonly acceptedRevision: number;
  /** The newest revision this host has worked towards, as far as it could: `problems` tell what it could not do. */
  readonly convergedRevision: number;
  readonly appliances: readonly ApplianceReport[];
  readonly pairs: readonly PairCounter[];
  /** When `pairs` was read, on the host's monotonic clock. */
  readonly pairsReadAt: Millis;
  readonly tunnels: readonly TunnelReport[];
  readonly usage: HostUsage;
  /** Where this host serves its blobs; absent: it holds none for others. */
  readonly blobPort?: number;
  readonly blobs?: readonly Digest[];
  /** On their way to this host. */
  readonly transfers?: readonly TransferReport[];
  readonly imports?: readonly ImportReport[];
  readonly jobs?: readonly JobReport[];
  /** Complete ones of the appliances here, the newest last: what is not told any more is not needed any more. */
  readonly checkpoints?: readonly CheckpointReport[];
  /** How what the plan asks for beside policies goes (CheckpointPlan). */
  readonly checkpointRequests?: readonly CheckpointRequestReport[];
  /** Places in stores that were to be emptied and are, and those where what is not needed could not be removed. */
  readonly stores?: readonly StoreReport[];
  /** What keeps it from its plan; empty when it matches. */
  readonly problems: readonly HostProblem[];
};

/** What a cluster manager calls a report that it has: no two of one epoch have the same number. */
export type ReportMark = { readonly epoch: number; readonly number: number };

/** Sent instead of a report, while all holds that the report with that mark told but what is measured anew each time. */
export type Heartbeat = {
  readonly host: HostId;
  readonly mark: ReportMark;
  readonly at: Millis;
  /** Of the report's appliances, in its order. */
  readonly cpuUsedMs: readonly Millis[];
  readonly memoryBytes: readonly Bytes[];
  readonly usage: HostUsage;
  readonly pairs: readonly PairCounter[];
  readonly pairsReadAt: Millis;
};

/** held: it is paused, and waits for the others of its group. */
export type CheckpointRequestReport = {
  readonly id: string;
  readonly appliance: ApplianceId;
  readonly state: "taking" | "held" | "taken" | "failed";
  readonly message?: string;
};

/** failed: it is tried again, with growing pauses. */
export type StoreReport = {
  readonly place: string;
  readonly state: "empty" | "failed";
  readonly message?: string;
};

/** done: its content is durable here. A failed one is not tried again. */
export type ImportReport = {
  readonly id: string;
  readonly state: "waiting" | "transferring" | "done" | "failed";
  readonly doneBytes: number;
  /** Absent: the other side does not tell. */
  readonly totalBytes?: number;
  readonly message?: string;
  readonly content?: Pick<Image, "disk" | "boot">;
};

export type TransferReport = {
  readonly digest: Digest;
  readonly doneBytes: number;
  readonly totalBytes: number;
};

export type JobReport = {
  readonly id: string;
  readonly attempt: number;
  readonly state: JobState;
  readonly startedAt?: Millis;
  readonly endedAt?: Millis;
  readonly exitCode?: number;
  readonly message?: string;
};

/** `missing`: hosts that were to get a copy and have none. */
export type CheckpointReport = {
  readonly checkpoint: Checkpoint;
  readonly copies: readonly HostId[];
  readonly missing: readonly HostId[];
  /** It is there instead. */
  readonly store?: string;
};

/** Of a virtual machine. */
export type VmReport = {
  readonly machine: "microvm" | "q35";
  readonly accel: "kvm" | "tcg";
  readonly start: "cold" | "warm" | "restored";
  readonly vcpus: number;
  /** What the guest may use now: less than its memory while its balloon is inflated. */
  readonly memoryBytes: Bytes;
  readonly agent: "answers" | "silent" | "none";
  /** Of its creation, in order. */
  readonly stages: readonly { readonly stage: string; readonly tookMs: Millis }[];
  readonly move?: MoveReport;
  /** It could not go on from that one yet. */
  readonly refused?: RestoreRefusal;
};

/** `final`: it is tried on, but others may be tried instead. */
export type RestoreRefusal = {
  readonly checkpoint: string;
  readonly why: string;
  readonly times: number;
  readonly final?: true;
};

/** What a guest does, sampled; bytes are counted since its QEMU started. */
export type GuestUsage = {
  /** As the guest itself tells, if it does. */
  readonly memoryTotalBytes?: Bytes;
  readonly memoryAvailableBytes?: Bytes;
  /** Of all its disks, as QEMU counts them. */
  readonly readBytes: Bytes;
  readonly writtenBytes: Bytes;
};

/**
 *     arriving:  listening → receiving → received → running-remote-disks → local
 *     leaving:   serving → sending → sent        (from `serving` and `sending`: failed, and the machine runs where it ran)
 *
 * An arriving side that failed has no machine that could continue.
 */
export type MoveReport = {
  readonly move: string;
  readonly side: "arriving" | "leaving";
  readonly phase:
    | "listening"
    | "receiving"
    | "received"
    | "running-remote-disks"
    | "local"
    | "serving"
    | "sending"
    | "sent"
    | "failed";
  /** Where this side listens: for the machine's state (arriving), for readers of its disks (leaving). */
  readonly port?: number;
  /** Arriving: it can begin before it has all of the memory. */
  readonly postcopy?: true;
  /** Leaving: the memory its QEMU was started with, which the other side's has to have too. */
  readonly bootMemoryBytes?: Bytes;
  /** Leaving: the processors its QEMU has, as many as the other side's has to have. */
  readonly processors?: number;
  /** Of this phase, 0 to 1. */
  readonly progress?: number;
  readonly downtimeMs?: Millis;
  readonly message?: string;
};

/** Of one appliance, or of the host as a whole. */
export type HostProblem = {
  readonly appliance?: ApplianceId;
  readonly message: string;
  /** Nothing stands in the way any more, the host is at work on it: not yet as planned, but no reason to be told. */
  readonly underWay?: true;
};

export type HostCapacity = {
  readonly cpuMilli: MilliCpu;
  readonly memoryBytes: Bytes;
  readonly uplinkBps: BitsPerSecond;
};

/** Of all appliances together, and, where it can be told, of the machine below them. */
export type HostUsage = {
  readonly cpuMilli: MilliCpu;
  readonly memoryBytes: Bytes;
  readonly machine?: MachineUsage;
  /** Of virtual machines whose guests run; absent: of none. */
  readonly guests?: Readonly<Record<ApplianceId, GuestUsage>>;
};

/** Bytes are counted since the machine started; rates, and what is busy, are of the time between the last two looks. */
export type MachineUsage = {
  readonly processors: number;
  /** Processes that run or wait to run, averaged over 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number];
  /** All processors together. */
  readonly busyMilli: MilliCpu;
  readonly memoryTotalBytes: Bytes;
  readonly memoryAvailableBytes: Bytes;
  /** Of all its disks. */
  readonly readBytes: Bytes;
  readonly writtenBytes: Bytes;
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
  /** Through its uplink. */
  readonly inBytes?: Bytes;
  readonly outBytes?: Bytes;
  readonly inBps?: BitsPerSecond;
  readonly outBps?: BitsPerSecond;
};

/**
 * created → starting → running → stopping → stopped; a process that ended by itself is `backoff` while a restart
 * is due, else `exited` (code 0) or `failed`. fenced: its processes are held where they are, as its host's lease has
 * run out; they go on when the lease is renewed.
 */
export type ApplianceState =
  | "created"
  | "starting"
  | "running"
  | "stopping"
  | "stopped"
  | "suspended"
  | "fenced"
  | "backoff"
  | "exited"
  | "failed";

export type ApplianceReport = {
  readonly id: ApplianceId;
  readonly generation: string;
  readonly state: ApplianceState;
  readonly startedAt?: Millis;
  readonly restarts: number;
  readonly exitCode?: number;
  /** Why it is not running, for people. */
  readonly message?: string;
  readonly cpuUsedMs: Millis;
  readonly memoryBytes: Bytes;
  /** It obeys the host's lease (AppliancePlan.leased). */
  readonly leased?: boolean;
  readonly scheduling?: SchedulingReport;
  readonly vm?: VmReport;
};

/** How a reservation of CPU time is kept. The counters begin at 0 with it, and whenever a host manager begins anew; absent is what cannot be told. */
export type SchedulingReport = {
  readonly enforcement: Exclude<Enforcement, "auto">;
  /** Time slots it was given, or periods begun. */
  readonly dispatches?: number;
  /** Of these, the ones that came late, or gave less than was reserved and wanted. */
  readonly misses?: number;
  readonly latestUs?: Micros;
};

/** What monitors of one host have measured, told as it comes; lost ones are not told again. */
export type Measurements = {
  readonly host: HostId;
  readonly samples: readonly Measurement[];
  /** Only those that began or ended since the last message. */
  readonly problems?: readonly MonitorProblem[];
};

/** Why a monitor measures nothing; without a message: it does again. It keeps no host from its plan. */
export type MonitorProblem = {
  readonly ensemble: EnsembleName;
  readonly monitor: string;
  readonly appliance: ApplianceId;
  readonly message?: string;
};

/** `metric` is "jitter", …; "" where the monitor measures one thing. `atMs`: the host's monotonic clock. */
export type Measurement = {
  readonly ensemble: EnsembleName;
  readonly monitor: string;
  readonly appliance: ApplianceId;
  readonly metric: string;
  readonly value: number;
  readonly atMs: Millis;
};

/** Frames permitted from one appliance to another since the pair was set up. */
export type PairCounter = {
  readonly network: NetworkId;
  readonly fromMac: MacAddress;
  readonly toMac: MacAddress;
  readonly packets: number;
  readonly bytes: number;
};

export type TunnelReport = {
  readonly peerSite: SiteName;
  readonly kind: string;
  readonly up: boolean;
  readonly message?: string;
};
