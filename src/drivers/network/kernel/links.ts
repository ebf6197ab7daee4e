import { attribute, attributesOf, flag, macBytes, macText, nested, text, textOf } from "./netlink-codec.ts";
import { errno, ipv4Bytes, u16be, u32, u8 } from "./netlink-codec.ts";
import type { Attribute, KernelRequest, NetlinkMessage } from "./netlink-codec.ts";

/** Links, their addresses, and which namespace the other end of one is in (linux/if_link.h, linux/rtnetlink.h). */

const newLink = 16;
const deleteLink = 17;
const getLink = 18;
const newAddress = 20;
const getAddress = 22;
const getNamespaceId = 90;

const isUp = 1;
const ipv4Family = 2;
const ipv6Family = 10;
const skipStatistics = 8;
const vxlanPort = 4789;
const leavingGroup = 0xc0570ff;

const link = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  info: 18,
  alias: 20,
  families: 26,
  group: 27,
  namespaceFd: 28,
  mask: 29,
  peerNamespaceId: 37,
} as const;
const info = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const;

/** A link as the kernel shows it. */
export type KernelLink = {
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly master: number;
  readonly alias: string;
  readonly mac: string;
  /** It was about to be removed together with others. */
  readonly leaving: boolean;
  /** The kernel's number for the namespace the other end is in; absent when it is in this one or there is none. */
  readonly peerNamespaceId?: number;
};

type Change = { readonly index?: number; readonly up?: boolean };

function linkBody(change: Change, attributes: readonly Attribute[]): Buffer {
  const fixed = Buffer.alloc(16);
  fixed.writeInt32LE(change.index ?? 0, 4);
  if (change.up !== undefined) {
    fixed.writeUInt32LE(change.up ? isUp : 0, 8);
    fixed.writeUInt32LE(isUp, 12);
  }
  return Buffer.concat([fixed, ...attributes]);
}

const kindAttribute = (kind: string, data: readonly Attribute[]): Attribute =>
  nested(link.info, [text(info.kind, kind), nested(info.data, data)]);

/** A bridge that neither listens to multicast reports nor speaks the spanning tree protocol. Made down. */
export function makeBridge(options: { name: string; mtu: number }): KernelRequest {
  const multicastSnooping = 23;
  return {
    what: `make bridge ${options.name}`,
    type: newLink,
    flags: flag.create | flag.exclusive,
    body: linkBody({}, [
      text(link.name, options.name),
      u32(link.mtu, options.mtu),
      kindAttribute("bridge", [u8(multicastSnooping, 0)]),
    ]),
  };
}

/** A VXLAN device without learning: where frames go is ours to say. Made down, in its bridge. */
export function makeTunnelEnd(options: {
  name: string;
  mtu: number;
  vni: number;
  local: string;
  master: number;
}): KernelRequest {
  return {
    what: `make tunnel end ${options.name}`,
    type: newLink,
    flags: flag.create | flag.exclusive,
    body: linkBody({}, [
      text(link.name, options.name),
      u32(link.mtu, options.mtu),
      u32(link.master, options.master),
      kindAttribute("vxlan", [
        u32(1, options.vni),
        attribute(4, ipv4Bytes(options.local)),
        u8(7, 0),
        u16be(15, vxlanPort),
      ]),
    ]),
  };
}

/** A link that takes frames from others, holds them as its classes want, and gives them back where they came from. Made down. */
export function makeSorter(options: { name: string; mtu: number }): KernelRequest {
  return {
    what: `make ${options.name}, on which frames from other hosts are sorted`,
    type: newLink,
    flags: flag.create | flag.exclusive,
    body: linkBody({}, [
      text(link.name, options.name),
      u32(link.mtu, options.mtu),
      nested(link.info, [text(info.kind, "ifb")]),
    ]),
  };
}

/** A pair of links, both down (a lone end cannot be up): ours in the bridge, the other made in the appliance's namespace at once. */
export function makePort(options: {
  name: string;
  mtu: number;
  master: number;
  inside: { name: string; mac: string; namespaceFd: number };
}): KernelRequest {
  const peer = linkBody({}, [
    text(link.name, options.inside.name),
    u32(link.mtu, options.mtu),
    attribute(link.address, macBytes(options.inside.mac)),
    u32(link.namespaceFd, options.inside.namespaceFd),
  ]);
  return {
    what: `make interface ${options.inside.name} (${options.inside.mac})`,
    type: newLink,
    flags: flag.create | flag.exclusive,
    body: linkBody({}, [
      text(link.name, options.name),
      u32(link.mtu, options.mtu),
      u32(link.master, options.master),
      kindAttribute("veth", [attribute(1, peer)]),
    ]),
  };
}

/** Up, with its alias: the mark of a link that is complete. */
export function finishLink(options: { name: string; index: number; alias: string }): KernelRequest {
  return {
    what: `finish ${options.name}`,
    type: newLink,
    flags: 0,
    body: linkBody({ index: options.index, up: true }, [text(link.alias, options.alias)]),
  };
}

/** A bridge's port that teaches the bridge nothing; without `flood` it gets only frames for addresses known behind it. */
export function bridgePortBehaviour(options: { name: string; index: number; flood: boolean }): KernelRequest {
  return {
    what: `set up ${options.name} as a port of its bridge`,
    type: newLink,
    flags: 0,
    body: linkBody({ index: options.index }, [
      nested(link.info, [
        text(info.slaveKind, "bridge"),
        nested(info.slaveData, [u8(8, 0), u8(9, options.flood ? 1 : 0)]),
      ]),
    ]),
  };
}

/** No IPv6 address of its own on this link. Machines without IPv6 do not mind. */
export function withoutIpv6(options: { name: string; index: number }): KernelRequest {
  const addressMode = 8;
  const none = 1;
  return {
    what: `keep IPv6 off ${options.name}`,
    type: newLink,
    flags: 0,
    tolerate: [errno.EAFNOSUPPORT],
    body: linkBody({ index: options.index }, [
      nested(link.families, [nested(ipv6Family, [u8(addressMode, none)])]),
    ]),
  };
}

export function setMaster(options: { name: string; index: number; master: number }): KernelRequest {
  return {
    what: `put ${options.name} into its bridge`,
    type: newLink,
    flags: 0,
    body: linkBody({ index: options.index }, [u32(link.master, options.master)]),
  };
}

export function setMtu(options: { name: string; index: number; mtu: number }): KernelRequest {
  return {
    what: `set the MTU of ${options.name} to ${options.mtu}`,
    type: newLink,
    flags: 0,
    body: linkBody({ index: options.index }, [u32(link.mtu, options.mtu)]),
  };
}

export function setUp(options: { name: string; index: number }): KernelRequest {
  return {
    what: `bring ${options.name} up`,
    type: newLink,
    flags: 0,
    body: linkBody({ index: options.index, up: true }, []),
  };
}

/**
 * Removes links together: the kernel waits for its CPUs once, and not once for each, which takes 20 ms. Links on
 * their way out are gathered in a group; one that is left there by a crash is recognised by it (`leaving`).
 */
export function removeLinks(
  leaving: readonly { readonly name: string; readonly index: number }[],
): readonly KernelRequest[] {
  const gather = leaving.map(({ name, index }) => ({
    what: `mark ${name} for removal`,
    type: newLink,
    flags: 0,
    tolerate: [errno.ENODEV],
    body: linkBody({ index }, [u32(link.group, leavingGroup)]),
  }));
  const remove = {
    what: `remove ${leaving.map(({ name }) => name).join(", ")}`,
    type: deleteLink,
    flags: 0,
    tolerate: [errno.ENODEV],
    body: linkBody({}, [u32(link.group, leavingGroup)]),
  };
  return [...gather, remove];
}

export function addAddress(options: { index: number; address: string; prefixLength: number }): KernelRequest {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt8(ipv4Family, 0);
  fixed.writeUInt8(options.prefixLength, 1);
  fixed.writeUInt32LE(options.index, 4);
  const bytes = ipv4Bytes(options.address);
  return {
    what: `give an interface the address ${options.address}/${options.prefixLength}`,
    type: newAddress,
    flags: flag.create | flag.replace,
    body: Buffer.concat([
      fixed,
      attribute(1, bytes),
      attribute(2, bytes),
      attribute(4, broadcast(bytes, options.prefixLength)),
    ]),
  };
}

function broadcast(address: Buffer, prefixLength: number): Buffer {
  const out = Buffer.alloc(4);
  const hostBits = prefixLength >= 31 ? 0 : 0xffffffff >>> prefixLength;
  out.writeUInt32BE((address.readUInt32BE(0) | hostBits) >>> 0);
  return out;
}

export function showLinks(): KernelRequest {
  return {
    what: "list the links",
    type: getLink,
    flags: 0,
    body: linkBody({}, [u32(link.mask, skipStatistics)]),
  };
}

export function showLink(name: string): KernelRequest {
  return {
    what: `find the link ${name}`,
    type: getLink,
    flags: 0,
    tolerate: [errno.ENODEV],
    body: linkBody({}, [u32(link.mask, skipStatistics), text(link.name, name)]),
  };
}

/** undefined when the message is no link or its name does not start with `prefix`. */
export function linkOf(message: NetlinkMessage, prefix: string): KernelLink | undefined {
  if (message.type !== newLink) return undefined;
  const found = attributesOf(message.body, 16);
  const name = textOf(found.get(link.name));
  if (!name.startsWith(prefix)) return undefined;
  const details = found.get(link.info);
  const kind = details === undefined ? "" : textOf(attributesOf(details, 0).get(info.kind));
  const peer = found.get(link.peerNamespaceId);
  const mac = found.get(link.address);
  return {
    name,
    index: message.body.readInt32LE(4),
    kind,
    up: (message.body.readUInt32LE(8) & isUp) !== 0,
    mtu: found.get(link.mtu)?.readUInt32LE(0) ?? 0,
    master: found.get(link.master)?.readUInt32LE(0) ?? 0,
    alias: textOf(found.get(link.alias)),
    leaving: found.get(link.group)?.readUInt32LE(0) === leavingGroup,
    mac: mac === undefined || mac.length < 6 ? "" : macText(mac),
    ...(peer === undefined ? {} : { peerNamespaceId: peer.readInt32LE(0) }),
  };
}

export function askNamespaceId(namespaceFd: number): KernelRequest {
  return {
    what: "identify a network namespace",
    type: getNamespaceId,
    flags: 0,
    body: Buffer.concat([Buffer.alloc(4), u32(3, namespaceFd)]),
  };
}

/** -1 when the kernel has given it no number, hence none of our links leads there. */
export function namespaceIdOf(message: NetlinkMessage | undefined): number {
  if (message === undefined) return -1;
  return attributesOf(message.body, 4).get(1)?.readInt32LE(0) ?? -1;
}

export function showAddresses(): KernelRequest {
  const fixed = Buffer.alloc(8);
  fixed.writeUInt8(ipv4Family, 0);
  return { what: "list the addresses", type: getAddress, flags: 0, body: fixed };
}

/** A message of `showAddresses`. */
export function addressOf(message: NetlinkMessage): { index: number; address: Buffer; prefixLength: number } {
  const found = attributesOf(message.body, 8);
  return {
    index: message.body.readUInt32LE(4),
    address: found.get(2) ?? found.get(1) ?? Buffer.alloc(4),
    prefixLength: message.body.readUInt8(1),
  };
}
