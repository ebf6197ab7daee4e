import type { EnsembleName, HostId, SiteName } from "#base/ids.ts";
import type { BitsPerSecond, Bytes, Micros, MilliCpu, Millis } from "#base/units.ts";

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
};

export type ApplianceKind = "task" | "vm";

/** One declared appliance; with `replicas` > 1 it stands for `<name>-1` … `<name>-<replicas>`. */
export type ApplianceSpec = {
  readonly name: string;
  readonly kind: ApplianceKind;
  readonly replicas: number;
  /** Root directory of the appliance ("dir:///srv/roots/web"); absent: the host's own system, read-only below a private layer. */
  readonly image?: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly files: readonly FileSpec[];
  readonly directory?: string;
  readonly cpu?: CpuRequest;
  readonly memoryBytes?: Bytes;
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
