import type { EnsembleName, HostId, SiteName } from "#base/ids.ts";
import type { BitsPerSecond, Bytes, Micros, MilliCpu, Millis } from "#base/units.ts";
import type { DiskLimits, VmSpec } from "#model/vm.ts";

/**
 * What a user declares. formats/ turns files into this; everything inside trusts it. Nothing here has a
 * default that depends on the machine: an absent field means "not asked for" (best effort).
 */
export type Ensemble = {
  readonly name: EnsembleName;
  readonly description?: string;
  readonly appliances: readonly ApplianceSpec[];
  readonly networks: readonly NetworkSpec[];
  readonly links: readonly LinkSpec[];
  readonly placement: readonly PlacementRule[];
  /** Beside `gold` and `best-effort`, which are always there. */
  readonly serviceClasses?: readonly ServiceClass[];
  readonly monitors?: readonly MonitorSpec[];
  readonly strategies?: readonly StrategySpec[];
  /** What was changed of single appliances since it was declared. */
  readonly adjustments?: readonly Adjustment[];
};

export type ApplianceKind = "task" | "vm";

/** One declared appliance; with `replicas` > 1 it stands for `<name>-1` … `<name>-<replicas>`. */
export type ApplianceSpec = {
  readonly name: string;
  readonly kind: ApplianceKind;
  readonly replicas: number;
  /** Whether its first one is called "web-1" or "web"; absent: the former with two or more. */
  readonly numbered?: boolean;
  /**
   * task: its root directory ("dir:///srv/roots/web"); absent: the host's own system, read-only below a private layer.
   * vm: its image by its name in the catalogue ("debian"), or by the address it is fetched from.
   */
  readonly image?: string;
  /** Of a `vm`, always; its `command` may be empty, and is run by the guest once it has booted. */
  readonly vm?: VmSpec;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly FileSpec[];
  readonly directory?: string;
  readonly cpu?: CpuRequest;
  /** How a reservation of CPU time is kept; auto unless told. */
  readonly enforcement?: Enforcement;
  /** Parts of its reservation that are kept for parts of its programs. */
  readonly teams?: readonly TeamSpec[];
  readonly memoryBytes?: Bytes;
  readonly traffic?: TrafficSpec;
  /** Held where it is until further notice. */
  readonly suspended?: true;
  /** Names of the networks it is attached to, in the order of its interfaces (eth0, eth1, …). */
  readonly networks: readonly string[];
  readonly restart: RestartPolicy;
  readonly onHostLoss: HostLossPolicy;
  /** 0 (first to yield) … 9 (last); 5 unless told. */
  readonly priority: number;
  readonly placement: HostRequirement;
  /** Between the polite and the final signal when it is stopped. */
  readonly stopGraceMs: Millis;
};

/** A file laid into the appliance before it starts. */
export type FileSpec = { readonly path: string; readonly content: string; readonly mode: number };

/**
 * share: `shareMilli` is guaranteed, `limitMilli` never exceeded. reservation: `executionUs` of CPU time in every
 * `periodUs`, guaranteed and not exceeded (reference vtm.md, CPU).
 */
export type CpuRequest =
  | { readonly kind: "share"; readonly shareMilli: MilliCpu; readonly limitMilli: MilliCpu }
  | { readonly kind: "reservation"; readonly periodUs: Micros; readonly executionUs: Micros };

/**
 * dispatch-table: continued and stopped by a table of time slots; bandwidth: the kernel's CPU quota over the period;
 * deadline: the kernel's deadline scheduler; auto: the first of these that serves, as its host finds
 * (reference vtm.md, CPU).
 */
export const enforcements = ["auto", "dispatch-table", "bandwidth", "deadline"] as const;
export type Enforcement = (typeof enforcements)[number];

export type CpuReservation = Extract<CpuRequest, { readonly kind: "reservation" }>;

/** round-robin: one job of it at a time, in turn; together: all of them, as the kernel sees fit. */
export const teamPolicies = ["round-robin", "together"] as const;
export type TeamPolicy = (typeof teamPolicies)[number];

/** Jobs of one appliance that share a part of its reservation, or, without one, what its other teams leave. */
export type TeamSpec = {
  readonly name: string;
  readonly cpu?: CpuReservation;
  readonly policy: TeamPolicy;
  /** Programs of the team, each one job; they begin with the appliance's own command. */
  readonly jobs: readonly (readonly string[])[];
  readonly teams: readonly TeamSpec[];
};

/** Spare bandwidth goes first to the class of the lowest number, 0 … 7. */
export type ServiceClass = { readonly name: string; readonly priority: number };

/** Bandwidth of all its traffic on all its networks together, guaranteed out of it and into it. */
export type TrafficSpec = {
  readonly serviceClass: string;
  readonly outBps?: BitsPerSecond;
  readonly inBps?: BitsPerSecond;
  /** Never exceeded; absent: spare bandwidth may be borrowed up to the physical link. */
  readonly outCeilingBps?: BitsPerSecond;
  readonly inCeilingBps?: BitsPerSecond;
};

/** Measures something of an appliance, again and again: `<name>.<metric>`, or `<name>` where it measures one thing. */
export type MonitorSpec = {
  readonly name: string;
  readonly appliance: string;
  readonly everyMs: Millis;
  readonly source: MonitorSource;
};

/**
 * rtp: frame-rate (1/s), jitter and deviation (ms), loss (ratio), packets (1/s) of what arrives at a UDP port of it;
 * scheduling: misses (1/s) of its reservation, usage (ratio of its reservation); script: a program run inside it;
 * http: asked from inside it. The last two tell one number, or lines of "metric number".
 */
export type MonitorSource =
  | { readonly kind: "rtp"; readonly port: number }
  | { readonly kind: "scheduling" }
  | { readonly kind: "script"; readonly command: readonly string[]; readonly metrics?: NamedSeries }
  | { readonly kind: "http"; readonly url: string; readonly metrics?: NamedSeries };

/** What counts of a page as Prometheus reads them, by our names: {"errors": "sum(http_requests_total{code=\"500\"})"}. */
export type NamedSeries = Readonly<Record<string, string>>;

/** When a metric has been beyond its threshold for so long, do something about it, and then wait before doing it again. */
export type StrategySpec = {
  readonly name: string;
  readonly when: Condition;
  readonly forMs: Millis;
  readonly actions: readonly StrategyAction[];
  readonly cooldownMs: Millis;
  /** After it has acted, it does not act again before the metric was at this value or better. Absent: as soon as `cooldownMs` is over. */
  readonly rearm?: number;
};

/** Durations are in ms, shares as ratios, rates as 1/s. */
export type Condition = {
  readonly metric: string;
  readonly comparison: ">" | ">=" | "<" | "<=";
  readonly threshold: number;
};

export type StrategyAction =
  | { readonly kind: "move-cpu"; readonly executionUs: Micros; readonly from: string; readonly to: string }
  | {
      readonly kind: "move-bandwidth";
      readonly bandwidthBps: BitsPerSecond;
      readonly from: string;
      readonly to: string;
    }
  | { readonly kind: "suspend" | "resume"; readonly appliance: string }
  | { readonly kind: "run"; readonly appliance: string; readonly command: readonly string[] };

/** What one appliance (by its own name, as "web-2") has now instead of what its spec says. */
export type Adjustment = {
  readonly appliance: string;
  readonly cpu?: CpuRequest;
  readonly memoryBytes?: Bytes;
  /** Of a virtual machine. */
  readonly vcpus?: number;
  readonly disk?: DiskLimits;
  readonly traffic?: TrafficSpec;
  /** False: it runs, although its spec holds it. */
  readonly suspended?: boolean;
  /** Of teams in it; others have what its spec says. */
  readonly teams?: readonly TeamAdjustment[];
};

/** `path` of a team within its appliance: "encoders/deep". */
export type TeamAdjustment = { readonly path: string; readonly cpu: CpuReservation };

export type RestartPolicy = {
  readonly when: "always" | "on-failure" | "never";
  /** First pause before a restart; doubles up to `backoffMsMax`, and returns to the first after a minute of running. */
  readonly backoffMsMin: Millis;
  readonly backoffMsMax: Millis;
};

/**
 * When its host is lost. elsewhere: it runs only under its host's lease, so that the managers may start it on another
 * host once that has run out. in-place: it needs no lease, and waits for its host.
 */
export type HostLossPolicy = "elsewhere" | "in-place";

export type HostRequirement = {
  readonly hosts?: readonly HostId[];
  readonly sites?: readonly SiteName[];
  /** Every label must be present on the host with this value. */
  readonly labels: Readonly<Record<string, string>>;
};

export type NetworkSpec = {
  readonly name: string;
  /** "10.77.3.0/24"; absent: the cluster manager chooses. */
  readonly subnet?: string;
};

/**
 * The promise between two appliances, in each direction. With replicas it holds between every two of them.
 * Absent bandwidth: best effort.
 */
export type LinkSpec = {
  readonly from: string;
  readonly to: string;
  /** The network it runs over; absent: the first one both are attached to. */
  readonly network?: string;
  /** Guaranteed, counted in Ethernet frames as the appliances see them. */
  readonly bandwidthBps?: BitsPerSecond;
  /** Never exceeded; absent: spare bandwidth may be borrowed up to the physical link. */
  readonly ceilingBps?: BitsPerSecond;
  /** "low" forbids inter-router connections (reference deva.md, Mapper). */
  readonly latency?: "low" | "high";
  /** Order in which spare bandwidth is lent: 0 first … 7 last; 4 unless told. */
  readonly priority: number;
};

/** together: all on one host (site); apart: no two on one host (site). A name covers all its replicas. */
export type PlacementRule = {
  readonly rule: "together" | "apart";
  readonly scope: "host" | "site";
  readonly appliances: readonly string[];
};
