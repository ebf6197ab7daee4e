import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { ConnectionType } from "#model/topology.ts";

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
