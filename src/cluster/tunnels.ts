import { siteName } from "#base/ids.ts";
import type { HostId, SiteName } from "#base/ids.ts";
import { addressText, parseNetwork } from "#base/ipv4.ts";
import type { EnsembleRecord, HostRecord, TunnelRecord } from "#cluster/records.ts";
import { hostsOf } from "#cluster/whereabouts.ts";
import type { Topology, TunnelKind } from "#model/topology.ts";
import type { TunnelPlan } from "#protocol/host-plan.ts";

/** Bytes a frame may carry on the wire between hosts. */
const underlayMtu = 1500;
/** Outer Ethernet excluded: IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14. */
const vxlanHeaderBytes = 50;
/** What is left for packets inside each kind of tunnel. */
const tunnelMtu: Readonly<Record<TunnelKind, number>> = {
  vxlan: underlayMtu,
  wireguard: 1420,
  openvpn: 1400,
};

const strictness: Readonly<Record<TunnelKind, number>> = { vxlan: 0, wireguard: 1, openvpn: 2 };
const basePort = 51820;
const tunnelAddresses = parseNetwork("169.254.64.0/18");

/** "alpha~beta" whichever way round. */
export function sitePair(a: SiteName, b: SiteName): string {
  return a < b ? `${a}~${b}` : `${b}~${a}`;
}

export function sitesOfPair(pair: string): readonly [SiteName, SiteName] {
  const [a = "", b = ""] = pair.split("~");
  return [siteName(a), siteName(b)];
}

/** The kind of tunnel two sites use: the stricter of their policies (openvpn, then wireguard, then vxlan). */
export function tunnelKind(topology: Topology, a: SiteName, b: SiteName): TunnelKind {
  const kinds = topology.sites
    .filter((site) => site.name === a || site.name === b)
    .map((site) => site.tunnel);
  return kinds.reduce<TunnelKind>(
    (worst, kind) => (strictness[kind] > strictness[worst] ? kind : worst),
    "vxlan",
  );
}

/** Largest packet an appliance's interface may send on a segment that spans these sites. */
export function segmentMtu(topology: Topology, sites: readonly SiteName[]): number {
  let mtu = underlayMtu;
  for (const a of sites)
    for (const b of sites) if (a < b) mtu = Math.min(mtu, tunnelMtu[tunnelKind(topology, a, b)]);
  return mtu - vxlanHeaderBytes;
}

/** Site pairs that some network spans, of an ensemble that is there or not yet gone, and whose policy asks for a tunnel. */
export function tunnelsNeeded(
  records: readonly EnsembleRecord[],
  hosts: ReadonlyMap<HostId, HostRecord>,
  topology: Topology,
): ReadonlyMap<string, readonly [SiteName, SiteName]> {
  const needed = new Map<string, readonly [SiteName, SiteName]>();
  for (const record of records) {
    for (const sites of pairsNeeded(record, hosts, topology)) needed.set(sitePair(...sites), sites);
  }
  return needed;
}

type Needed = {
  readonly topology: Topology;
  /** Of the hosts it is placed on, in their order. */
  readonly sites: readonly (SiteName | undefined)[];
  readonly pairs: readonly (readonly [SiteName, SiteName])[];
};

/** Found once for a record and where its hosts are: most of a large cloud is the same from one look to the next. */
const neededBy = new WeakMap<EnsembleRecord, Needed>();

function pairsNeeded(
  record: EnsembleRecord,
  hosts: ReadonlyMap<HostId, HostRecord>,
  topology: Topology,
): Needed["pairs"] {
  const ids = hostsOf(record);
  const known = neededBy.get(record);
  if (known?.topology === topology && ids.every((id, at) => hosts.get(id)?.site === known.sites[at])) {
    return known.pairs;
  }
  const pairs: [SiteName, SiteName][] = [];
  for (const sites of sitesByNetwork(record, hosts).values()) {
    for (const a of sites) {
      for (const b of sites) if (a < b && tunnelKind(topology, a, b) !== "vxlan") pairs.push([a, b]);
    }
  }
  neededBy.set(record, { topology, sites: ids.map((id) => hosts.get(id)?.site), pairs });
  return pairs;
}

/** Pairs of sites, for people, that an ensemble's networks span and whose tunnel does not guard its frames yet. */
export function unguardedPairs(
  record: EnsembleRecord,
  cloud: {
    readonly hosts: ReadonlyMap<HostId, HostRecord>;
    readonly tunnels: ReadonlyMap<string, TunnelRecord>;
    readonly topology: Topology;
  },
): string[] {
  const needed = tunnelsNeeded([record], cloud.hosts, cloud.topology);
  return [...needed]
    .filter(([pair]) => cloud.tunnels.get(pair)?.guarded !== true)
    .map(([, sites]) => sites.join(" and "));
}

/** The sites each network of an ensemble has members in. */
export function sitesByNetwork(
  record: EnsembleRecord,
  hosts: ReadonlyMap<HostId, HostRecord>,
): ReadonlyMap<string, ReadonlySet<SiteName>> {
  const sites = new Map<string, Set<SiteName>>();
  for (const [appliance, host] of Object.entries(record.placements)) {
    const site = hosts.get(host)?.site;
    if (site === undefined) continue;
    for (const one of record.interfaces[appliance as keyof typeof record.interfaces] ?? []) {
      const known = sites.get(one.network) ?? new Set();
      sites.set(one.network, known.add(site));
    }
  }
  return sites;
}

/**
 * One gateway's end of the tunnel to a peer site; undefined until the peer gateway is known. Without the peer's key the
 * gateway already holds packets back.
 */
export function tunnelPlan(
  here: SiteName,
  peer: HostRecord,
  record: TunnelRecord,
  kind: Exclude<TunnelKind, "vxlan">,
): TunnelPlan | undefined {
  if (peer.outsideAddress === undefined) return undefined;
  const first = tunnelAddresses.base + record.index * 4 + 1;
  const lower = here < peer.site;
  return {
    peerSite: peer.site,
    kind,
    peerAddress: peer.outsideAddress,
    peerSubnets: [peer.siteSubnet],
    localPort: basePort + record.index,
    peerPort: basePort + record.index,
    localTunnelAddress: addressText(lower ? first : first + 1),
    peerTunnelAddress: addressText(lower ? first + 1 : first),
    mtu: tunnelMtu[kind],
    ...(kind === "wireguard" && peer.tunnelPublicKey !== undefined
      ? { peerPublicKey: peer.tunnelPublicKey }
      : {}),
    ...(kind === "openvpn" ? { sharedKey: record.sharedKey } : {}),
  };
}
