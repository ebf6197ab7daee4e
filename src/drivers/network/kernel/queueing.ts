import { attribute, attributesOf, errno, flag, nested, text, textOf, u64 } from "./netlink-codec.ts";
import type { Attribute, KernelRequest, NetlinkMessage } from "./netlink-codec.ts";

/** Hierarchical token buckets and their classes (linux/pkt_sched.h). */

const message = {
  newQdisc: 36,
  deleteQdisc: 37,
  getQdisc: 38,
  newClass: 40,
  deleteClass: 41,
  getClass: 42,
} as const;
const kindAttribute = 1;
const optionsAttribute = 2;
const htb = { parameters: 1, init: 2, rate64: 6, ceil64: 7 } as const;
const rootParent = 0xffffffff;
const rateMax32 = 0xffffffff;
const ethernet = 1;
/** The kernel's packet scheduler counts time in steps of 64 ns. */
const tickNs = 64;

/** All rates in bytes per second, as the kernel counts them. */
export type HtbClass = {
  readonly rateBytes: number;
  readonly ceilBytes: number;
  readonly burstBytes: number;
  readonly ceilBurstBytes: number;
  readonly quantumBytes: number;
  readonly priority: number;
};

export type KernelClass = {
  readonly index: number;
  readonly handle: number;
  readonly parent: number;
  readonly class: Pick<HtbClass, "rateBytes" | "ceilBytes" | "priority">;
};

export type KernelQdisc = {
  readonly index: number;
  readonly kind: string;
  readonly handle: number;
  readonly parent: number;
};

function body(index: number, handle: number, parent: number, attributes: readonly Attribute[]): Buffer {
  const fixed = Buffer.alloc(20);
  fixed.writeInt32LE(index, 4);
  fixed.writeUInt32LE(handle, 8);
  fixed.writeUInt32LE(parent, 12);
  return Buffer.concat([fixed, ...attributes]);
}

export const handleOf = (major: number, minor: number): number => major * 0x10000 + minor;

/** In place of whatever is at the root of the link. Traffic without a class goes to `defaultMinor`; 0: straight out. */
export function makeRoot(options: { index: number; major: number; defaultMinor: number }): KernelRequest {
  const init = Buffer.alloc(20);
  init.writeUInt32LE(3, 0);
  init.writeUInt32LE(10, 4);
  init.writeUInt32LE(options.defaultMinor, 8);
  return {
    what: "put a token bucket hierarchy on a link",
    type: message.newQdisc,
    flags: flag.create | flag.replace,
    body: body(options.index, handleOf(options.major, 0), rootParent, [
      text(kindAttribute, "htb"),
      nested(optionsAttribute, [attribute(htb.init, init)]),
    ]),
  };
}

export function removeRoot(options: { index: number; major: number }): KernelRequest {
  return {
    what: "take the token bucket hierarchy off a link",
    type: message.deleteQdisc,
    flags: 0,
    tolerate: [errno.ENOENT, errno.ENODEV, errno.EINVAL],
    body: body(options.index, handleOf(options.major, 0), rootParent, []),
  };
}

/** Makes the class or changes it in place; frames waiting in it stay. */
export function setClass(options: {
  index: number;
  handle: number;
  parent: number;
  class: HtbClass;
}): KernelRequest {
  const { rateBytes, ceilBytes } = options.class;
  const parameters = Buffer.alloc(44);
  rateSpec(parameters, 0, rateBytes);
  rateSpec(parameters, 12, ceilBytes);
  parameters.writeUInt32LE(ticks(options.class.burstBytes, rateBytes), 24);
  parameters.writeUInt32LE(ticks(options.class.ceilBurstBytes, ceilBytes), 28);
  parameters.writeUInt32LE(options.class.quantumBytes, 32);
  parameters.writeUInt32LE(options.class.priority, 40);
  return {
    what: `set the rate of a class to ${rateBytes * 8} bit/s`,
    type: message.newClass,
    flags: flag.create,
    body: body(options.index, options.handle, options.parent, [
      text(kindAttribute, "htb"),
      nested(optionsAttribute, [
        attribute(htb.parameters, parameters),
        ...(rateBytes > rateMax32 ? [u64(htb.rate64, BigInt(rateBytes))] : []),
        ...(ceilBytes > rateMax32 ? [u64(htb.ceil64, BigInt(ceilBytes))] : []),
      ]),
    ]),
  };
}

/** Limits what waits in a class. */
export function setQueue(options: { index: number; parent: number; limitBytes: number }): KernelRequest {
  const limit = Buffer.alloc(4);
  limit.writeUInt32LE(options.limitBytes);
  return {
    what: "limit the queue of a class",
    type: message.newQdisc,
    flags: flag.create | flag.replace,
    body: body(options.index, 0, options.parent, [
      text(kindAttribute, "bfifo"),
      attribute(optionsAttribute, limit),
    ]),
  };
}

export function removeClass(options: { index: number; handle: number }): KernelRequest {
  return {
    what: "remove a class",
    type: message.deleteClass,
    flags: 0,
    tolerate: [errno.ENOENT, errno.ENODEV, errno.EINVAL],
    body: body(options.index, options.handle, 0, []),
  };
}

export function showQdiscs(): KernelRequest {
  return { what: "list queueing disciplines", type: message.getQdisc, flags: 0, body: body(0, 0, 0, []) };
}

export function showClasses(index: number): KernelRequest {
  return {
    what: "list the classes of a link",
    type: message.getClass,
    flags: 0,
    body: body(index, 0, 0, []),
  };
}

export function qdiscOf(found: NetlinkMessage): KernelQdisc {
  return {
    index: found.body.readInt32LE(4),
    handle: found.body.readUInt32LE(8),
    parent: found.body.readUInt32LE(12),
    kind: textOf(attributesOf(found.body, 20).get(kindAttribute)),
  };
}

export const isRoot = (qdisc: KernelQdisc): boolean => qdisc.parent === rootParent;

/** undefined for classes of other disciplines. */
export function classOf(found: NetlinkMessage): KernelClass | undefined {
  const attributes = attributesOf(found.body, 20);
  const options = attributes.get(optionsAttribute);
  if (textOf(attributes.get(kindAttribute)) !== "htb" || options === undefined) return undefined;
  const parts = attributesOf(options, 0);
  const parameters = parts.get(htb.parameters);
  if (parameters === undefined) return undefined;
  const wide = (type: number): number | undefined => {
    const bytes = parts.get(type);
    return bytes === undefined ? undefined : Number(bytes.readBigUInt64LE(0));
  };
  return {
    index: found.body.readInt32LE(4),
    handle: found.body.readUInt32LE(8),
    parent: found.body.readUInt32LE(12),
    class: {
      rateBytes: wide(htb.rate64) ?? parameters.readUInt32LE(8),
      ceilBytes: wide(htb.ceil64) ?? parameters.readUInt32LE(20),
      priority: parameters.readUInt32LE(40),
    },
  };
}

function rateSpec(into: Buffer, at: number, rateBytes: number): void {
  into.writeUInt8(ethernet, at + 1);
  into.writeUInt32LE(Math.min(rateBytes, rateMax32), at + 8);
}

/** The time `size` bytes take at `rate`, in the kernel's steps. */
function ticks(size: number, rate: number): number {
  return Math.min(rateMax32, Math.max(1, Math.round(((size / rate) * 1e9) / tickNs)));
}
