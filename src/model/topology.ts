import type { HostId, SiteName } from "#base/ids.ts";
import type { BitsPerSecond, Bytes, Micros, MilliCpu } from "#base/units.ts";

/**
 * The physical side: what appliances are mapped on. The lab builds one, `plan --topology` reads one, the cluster
 * manager keeps one from its hosts' reports and the operator's description of the wiring.
 */
export type Topology = {
  readonly sites: readonly Site[];
  readonly hosts: readonly HostSpec[];
  readonly devices: readonly Device[];
  readonly links: readonly PhysicalLink[];
};

/** How frames travel from this site to another one; the stricter of both ends wins (openvpn, wireguard, vxlan). */
export type TunnelKind = "wireguard" | "openvpn" | "vxlan";

export type Site = { readonly name: SiteName; readonly tunnel: TunnelKind };

/** Who goes first in a dispatch table: the one with the shorter period, or the one whose period ends first. */
export const schedulingPolicies = ["rate-monotonic", "earliest-deadline-first"] as const;
export type SchedulingPolicy = (typeof schedulingPolicies)[number];

/** How a host fills its dispatch tables. `quantumUs`: the length of a slot; absent: chosen for what is reserved there. */
export type DispatchRules = { readonly policy: SchedulingPolicy; readonly quantumUs?: Micros };

export type HostSpec = {
  readonly id: HostId;
  readonly site: SiteName;
  readonly cpuMilli: MilliCpu;
  readonly memoryBytes: Bytes;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent: rate monotonic, in slots chosen for what is reserved. */
  readonly dispatch?: DispatchRules;
};

/** gateway: the site's way out, where tunnels end; every site with inter-site traffic has one between its switches and the routers. */
export type Device = {
  readonly id: string;
  readonly kind: "switch" | "router" | "gateway";
  readonly site?: SiteName;
};

/** Full duplex: `bandwidthBps` each way. `a` and `b` are ids of hosts or devices. */
export type PhysicalLink = {
  readonly a: string;
  readonly b: string;
  readonly bandwidthBps: BitsPerSecond;
  readonly latencyUs: Micros;
};

/**
 * How two appliances are connected, best first (reference deva.md, Mapper): same host; hosts cabled to each other;
 * one switch; several switches; different layer-2 domains, which needs a tunnel.
 */
export const connectionTypes = ["trivial", "direct", "intra-switch", "inter-switch", "inter-router"] as const;
export type ConnectionType = (typeof connectionTypes)[number];
