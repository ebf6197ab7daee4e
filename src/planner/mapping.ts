import type { ApplianceId, HostId, SiteName } from "#base/ids.ts";
import type { BitsPerSecond, Bytes, Micros, MilliCpu } from "#base/units.ts";
import type { BookedMachine } from "#control/scheduling/admission.ts";
import type { ApplianceLink } from "#model/appliances.ts";
import type { ApplianceKind, Ensemble, PlacementRule } from "#model/ensemble.ts";
import type { ConnectionType, Topology } from "#model/topology.ts";

/**
 * What the mapper is asked and what it answers (reference deva.md, Mapper). Plain data: it crosses threads and
 * processes by structured clone.
 */
export type MappingProblem = {
  readonly topology: Topology;
  /** To be placed together, in one decision. */
  readonly ensembles: readonly Ensemble[];
  /** What already holds capacity and stays where it is. */
  readonly existing: readonly PlacedEnsemble[];
  /** What holds capacity beside those, summed up as `condensed` does. */
  readonly held?: HeldCapacity;
  /** Where the appliances to be placed run now, as far as they do. Moving one away costs `moveWeight`. */
  readonly previous?: Placements;
  /**
   * Price of moving one running appliance, in units of one hop of an average link. Absent: a running appliance
   * moves only when a promise could not be kept otherwise.
   */
  readonly moveWeight?: number;
  /** Dead, drained or fenced: nothing may be placed there. */
  readonly unusableHosts?: ReadonlySet<HostId>;
  /** What is the matter with them, for explanations; decides nothing. */
  readonly unusableReasons?: ReadonlyMap<HostId, UnusableReason>;
  /**
   * Of the appliances to be placed, those that stay exactly where `previous` has them, whatever that host is: one that
   * is not usable, that their requirements forbid, or that the topology does not know. What they break there is told.
   * Who must share a host with one of them comes to it, or is told to have no host. One that `previous` does not have
   * is placed like any other.
   */
  readonly pinned?: ReadonlySet<ApplianceId>;
  /** Not to be placed now: they and their links are left out, and ask for nothing. */
  readonly absent?: ReadonlySet<ApplianceId>;
  /**
   * Between otherwise equal placements. spread (unless told): hosts loaded alike. pack: as few and as full hosts as
   * keep every promise; of equally full ones the last of the topology.
   */
  readonly policy?: PlacementPolicy;
  /** What each host can do; a host that is not listed runs `task` alone. */
  readonly capabilities?: ReadonlyMap<HostId, readonly HostAbility[]>;
};

/** Kinds it has a driver for; kvm: virtual machines run in hardware there, as a guest has shown. */
export type HostAbility = ApplianceKind | "kvm";

/** In the order of the topology's hosts and links; thousandths of a core, bytes, bits per second each way. */
export type HeldCapacity = {
  readonly cpu: Float64Array;
  /** What balance goes by: the same, with a nominal figure for what asked for none. */
  readonly nominalCpu: Float64Array;
  readonly memory: Float64Array;
  readonly link: Float64Array;
  /** Reservations of CPU time per period, where there are any. */
  readonly machines?: ReadonlyMap<HostId, readonly BookedMachine[]>;
};

/** unclean: it has yet to end what was given to others. absent: it has not joined. */
export type UnusableReason = "lost" | "draining" | "cordoned" | "unclean" | "absent" | "forgotten";

export type PlacementPolicy = "spread" | "pack";

export type Placements = ReadonlyMap<ApplianceId, HostId>;

export type PlacedEnsemble = {
  readonly ensemble: Ensemble;
  readonly placements: Placements;
  /** Absent: each link is taken to use the first shortest path. */
  readonly paths?: readonly LinkPath[];
};

/** How one link of an ensemble runs over the physical network. */
export type LinkPath = {
  readonly link: ApplianceLink;
  readonly connection: ConnectionType;
  /** Ids of hosts and devices from the link's `from` to its `to`; one host alone when the connection is trivial. */
  readonly nodes: readonly string[];
  /** Positions in `topology.links`, in the order travelled. */
  readonly physicalLinks: readonly number[];
  /** What it takes on each of them, in each direction, with tunnel headers. 0: best effort. */
  readonly wireBps: BitsPerSecond;
  /** One way, sum over the physical links. */
  readonly latencyUs: Micros;
};

export type Mapping = {
  readonly placements: Placements;
  /** In the order of `linksOf` over the ensembles; a link of an appliance without a host has none. */
  readonly paths: readonly LinkPath[];
  /** Empty: every promise can be kept. */
  readonly violations: readonly Violation[];
  /** 1 / (1 + cost.total): comparable between mappings of the same problem; higher is better. */
  readonly score: number;
  readonly cost: MappingCost;
};

/** All in units of one hop of an average link, except `bandwidthHopsBps`. */
export type MappingCost = {
  readonly total: number;
  /** Distance: links weighted by bandwidth. */
  readonly distance: number;
  /** Low-latency links: one for each physical link travelled. */
  readonly latency: number;
  /** Unevenness of CPU over hosts, deciding only between otherwise equal placements; to pack, room left on hosts used. */
  readonly balance: number;
  readonly movement: number;
  readonly violation: number;
  /** Sum over links of promised bandwidth × physical links travelled. */
  readonly bandwidthHopsBps: number;
  readonly moved: number;
};

type Explained = {
  /** What is violated and what is binding, for people. */
  readonly message: string;
  /** What would have to change. */
  readonly remedy: string;
};

export type Violation = Explained &
  (
    | {
        readonly kind: "host-cpu";
        readonly host: HostId;
        readonly wantedMilli: MilliCpu;
        readonly capacityMilli: MilliCpu;
        readonly appliances: readonly ApplianceId[];
      }
    | {
        /** There is CPU enough, but not in time for every period. */
        readonly kind: "host-schedule";
        readonly host: HostId;
        readonly appliance: ApplianceId;
        /** The most that could be reserved for it there in its period; 0: nothing. */
        readonly largestUs: Micros;
      }
    | {
        readonly kind: "host-memory";
        readonly host: HostId;
        readonly wantedBytes: Bytes;
        readonly capacityBytes: Bytes;
        readonly appliances: readonly ApplianceId[];
      }
    | {
        readonly kind: "link-bandwidth";
        /** Position in `topology.links`. */
        readonly physicalLink: number;
        readonly a: string;
        readonly b: string;
        /** In each direction. */
        readonly wantedBps: BitsPerSecond;
        readonly capacityBps: BitsPerSecond;
        readonly links: readonly { readonly from: ApplianceId; readonly to: ApplianceId }[];
      }
    | { readonly kind: "latency"; readonly from: ApplianceId; readonly to: ApplianceId }
    | { readonly kind: "unreachable"; readonly from: ApplianceId; readonly to: ApplianceId }
    | { readonly kind: "rule"; readonly rule: PlacementRule; readonly appliances: readonly ApplianceId[] }
    | { readonly kind: "no-host"; readonly appliance: ApplianceId; readonly sites: readonly SiteName[] }
    | {
        readonly kind: "no-driver";
        readonly appliance: ApplianceId;
        readonly applianceKind: ApplianceKind;
        /** What it needs that none of the hosts can do. */
        readonly lacking: readonly HostAbility[];
      }
  );
