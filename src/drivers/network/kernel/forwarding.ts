import {
  attribute,
  attributesOf,
  errno,
  flag,
  ipv4Bytes,
  ipv4Text,
  macBytes,
  macText,
} from "./netlink-codec.ts";
import type { KernelRequest, NetlinkMessage } from "./netlink-codec.ts";

/** Forwarding entries of bridges and VXLAN devices (linux/neighbour.h). */

const newNeighbour = 28;
const deleteNeighbour = 29;
const getNeighbour = 30;
const bridgeFamily = 7;
const noArp = 0x40;
const permanent = 0x80;
const ownEntry = 2;
const mastersEntry = 4;
const destinationAttribute = 1;
const macAttribute = 2;

/** Frames for addresses without an entry, and broadcasts, go to all its destinations. */
export const everyone = "00:00:00:00:00:00";

export type ForwardingEntry = { readonly mac: string; readonly destination: string };

function body(index: number, state: number, flags: number, mac: string, destination?: string): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt8(bridgeFamily, 0);
  fixed.writeInt32LE(index, 4);
  fixed.writeUInt16LE(state, 8);
  fixed.writeUInt8(flags, 10);
  const attributes = [attribute(macAttribute, macBytes(mac))];
  if (destination !== undefined) attributes.push(attribute(destinationAttribute, ipv4Bytes(destination)));
  return Buffer.concat([fixed, ...attributes]);
}

/** The bridge sends frames for `mac` to this port. */
export function addBridgeEntry(port: { index: number; mac: string }): KernelRequest {
  return {
    what: `direct frames for ${port.mac} to its port`,
    type: newNeighbour,
    flags: flag.create | flag.replace,
    body: body(port.index, noArp, mastersEntry, port.mac),
  };
}

/** The tunnel end sends frames for `mac` to a host; for `everyone` to this one too. */
export function addTunnelEntry(index: number, entry: ForwardingEntry): KernelRequest {
  return {
    what: `direct frames for ${entry.mac} to host ${entry.destination}`,
    type: newNeighbour,
    flags: flag.create | (entry.mac === everyone ? flag.append : flag.replace),
    tolerate: entry.mac === everyone ? [errno.EEXIST] : [],
    body: body(index, noArp | permanent, ownEntry, entry.mac, entry.destination),
  };
}

export function removeTunnelEntry(index: number, entry: ForwardingEntry): KernelRequest {
  return {
    what: `stop directing frames for ${entry.mac} to host ${entry.destination}`,
    type: deleteNeighbour,
    flags: 0,
    tolerate: [errno.ENOENT, errno.ENODEV],
    body: body(index, noArp | permanent, ownEntry, entry.mac, entry.destination),
  };
}

/** Dump of one tunnel end's entries. */
export function showTunnelEntries(index: number): KernelRequest {
  const fixed = Buffer.alloc(16);
  fixed.writeUInt8(bridgeFamily, 0);
  fixed.writeInt32LE(index, 4);
  return { what: "list forwarding entries", type: getNeighbour, flags: 0, body: fixed };
}

/** undefined for entries of another kind or link. */
export function tunnelEntryOf(message: NetlinkMessage, index: number): ForwardingEntry | undefined {
  if (message.type !== newNeighbour || message.body.readInt32LE(4) !== index) return undefined;
  const found = attributesOf(message.body, 12);
  const mac = found.get(macAttribute);
  const destination = found.get(destinationAttribute);
  if (mac === undefined || destination === undefined) return undefined;
  return { mac: macText(mac), destination: ipv4Text(destination) };
}
