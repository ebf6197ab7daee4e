import type { HostId, Ipv4Address, SiteName } from "#base/ids.ts";
import type { BitsPerSecond, Bytes, MilliCpu } from "#base/units.ts";
import type { DispatchRules, Topology } from "#model/topology.ts";
import type { PlacementPolicy } from "#planner/mapping.ts";

/** What a lab hands its managers: one JSON file each, named after `--config`. */
export type HostConfig = {
  readonly lab: string;
  readonly host: HostId;
  readonly site: SiteName;
  readonly role: "host" | "gateway";
  /** "<lab>-<host>"; everything the manager makes on the machine bears it. */
  readonly mark: string;
  /** Path of the bus's Unix socket. */
  readonly bus: string;
  readonly stateDir: string;
  readonly runDir: string;
  /** "consort/<lab>/<host>", below every cgroup root: the appliances' groups go in it. */
  readonly cgroupParent: string;
  readonly uplink: {
    readonly interface: "uplink";
    readonly address: Ipv4Address;
    readonly prefixLength: number;
    readonly bandwidthBps: BitsPerSecond;
  };
  /** A gateway's address towards the routers, where tunnels end. */
  readonly outsideAddress?: Ipv4Address;
  /** "172.30.1.0/24" */
  readonly siteSubnet: string;
  readonly labels: Readonly<Record<string, string>>;
  /** 0 on gateways, which run no appliances. */
  readonly cpuMilli: MilliCpu;
  /** Absent: rate monotonic, in slots chosen for what is reserved. */
  readonly dispatch?: DispatchRules;
  readonly memoryBytes: Bytes;
  /** Appliances' network namespaces are named this and something. */
  readonly netnsPrefix: string;
  /** Directories below which jobs and images may read and write files of this host; absent: /srv/consort. */
  readonly stagingDirectories?: readonly string[];
  /** Open file of the network namespace from which servers outside the cloud are reached; absent: the host's own. */
  readonly outsideNetnsFd?: number;
};

export type ClusterConfig = {
  readonly lab: string;
  readonly bus: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly apiAddress: string;
  /** 0: any free one; the real one is in "<runDir>/api.json". */
  readonly apiPort: number;
  /** Where Ganglia's tools read, on this machine only; 0: any free one, told in "<runDir>/api.json". Absent: nowhere. */
  readonly gangliaPort?: number;
  readonly tokenFile: string;
  readonly topology: Topology;
  readonly seed?: number;
  readonly policy?: { readonly placement: PlacementPolicy; readonly consolidate: boolean };
};
