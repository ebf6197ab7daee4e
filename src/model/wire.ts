import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { ConnectionType, Topology } from "#model/topology.ts";

/** An appliance's full frame where frames travel in VXLAN: 1450 bytes of payload and the Ethernet header. */
const frameBytes = 1464;
/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
const vxlanBytes = 50;
/** Outer IPv4, UDP and WireGuard headers with authentication tag; OpenVPN with AES stays below it. */
const tunnelBytes = 60;

/**
 * What a link's promised bandwidth takes on each physical link of its path, tunnel headers included, rounded up
 * to whole bits so that sums of rates stay exact. Between sites the tunnel's headers are counted on the whole path.
 */
export function wireRate(bandwidthBps: BitsPerSecond, connection: ConnectionType): BitsPerSecond {
  switch (connection) {
    case "trivial":
      return bandwidthBps;
    case "direct":
    case "intra-switch":
    case "inter-switch":
      return bitsPerSecond(Math.ceil((bandwidthBps * (frameBytes + vxlanBytes)) / frameBytes));
    case "inter-router":
      return bitsPerSecond(Math.ceil((bandwidthBps * (frameBytes + vxlanBytes + tunnelBytes)) / frameBytes));
    default:
      return connection satisfies never;
  }
}

/**
 * A host sends a little slower than its link could: queues then form in the host, where promised traffic is told
 * apart, and not in the switch behind it, where it waits with the rest.
 */
const hostPaceShare = 0.99;
/** Of the link; names are resolved and managers heard also when everything is promised. */
const bestEffortShare = 0.01;

export type LinkShares = {
  /** What the host lets through at most. */
  readonly paceBps: BitsPerSecond;
  /** What traffic without a promise may always use. */
  readonly bestEffortBps: BitsPerSecond;
  /** What may be promised in all, with headers. */
  readonly promisableBps: BitsPerSecond;
};

export function linkShares(linkBps: BitsPerSecond): LinkShares {
  return {
    paceBps: bitsPerSecond(linkBps * hostPaceShare),
    bestEffortBps: bitsPerSecond(linkBps * bestEffortShare),
    promisableBps: bitsPerSecond(linkBps * (hostPaceShare - bestEffortShare)),
  };
}

const promisable = new WeakMap<Topology, Topology>();

/**
 * A topology with each link's promisable bandwidth in place of its nominal one: what admission may give away. The same
 * object for the same topology, so that what the mapper finds out about it serves the next question too.
 */
export function promisableTopology(topology: Topology): Topology {
  const known = promisable.get(topology);
  if (known !== undefined) return known;
  const links = topology.links.map((link) => ({
    ...link,
    bandwidthBps: linkShares(link.bandwidthBps).promisableBps,
  }));
  const made = { ...topology, links };
  promisable.set(topology, made);
  return made;
}
