/**
 * Netlink messages as bytes: a header, a fixed part that depends on the message, and attributes, each padded to
 * four bytes. Native byte order (little-endian on every machine Node runs on here) unless an attribute says network order.
 */

export type Attribute = Buffer;

/** One thing asked of the kernel. `what` completes "Cannot …" when it refuses; `tolerate` lists errno values that mean "already so". */
export type KernelRequest = {
  readonly what: string;
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
  readonly tolerate?: readonly number[];
};

export type NetlinkMessage = {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Buffer;
};

export const headerBytes = 16;
export const flag = {
  request: 0x1,
  ack: 0x4,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
} as const;
export const errno = {
  ENOENT: 2,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EAFNOSUPPORT: 97,
  EADDRNOTAVAIL: 99,
} as const;

const nestedBit = 0x8000;
const typeMask = 0x3fff;
const pad = (length: number): number => (length + 3) & ~3;

export function attribute(type: number, payload: Buffer): Attribute {
  const out = Buffer.alloc(pad(4 + payload.length));
  out.writeUInt16LE(4 + payload.length, 0);
  out.writeUInt16LE(type, 2);
  payload.copy(out, 4);
  return out;
}

export function u8(type: number, value: number): Attribute {
  return attribute(type, Buffer.from([value]));
}

export function u16be(type: number, value: number): Attribute {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(value);
  return attribute(type, payload);
}

export function u32(type: number, value: number): Attribute {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value);
  return attribute(type, payload);
}

export function u64(type: number, value: bigint): Attribute {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(value);
  return attribute(type, payload);
}

export function text(type: number, value: string): Attribute {
  return attribute(type, Buffer.from(`${value}\0`));
}

export function nested(type: number, attributes: readonly Attribute[]): Attribute {
  return attribute(type | nestedBit, Buffer.concat(attributes));
}

/** The request as one message. */
export function encode(request: KernelRequest, sequence: number): Buffer {
  const out = Buffer.alloc(pad(headerBytes + request.body.length));
  out.writeUInt32LE(headerBytes + request.body.length, 0);
  out.writeUInt16LE(request.type, 4);
  out.writeUInt16LE(request.flags | flag.request, 6);
  out.writeUInt32LE(sequence, 8);
  request.body.copy(out, headerBytes);
  return out;
}

/** All messages of one datagram; a truncated tail is ignored. */
export function decode(datagram: Buffer): readonly NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  let at = 0;
  while (at + headerBytes <= datagram.length) {
    const length = datagram.readUInt32LE(at);
    if (length < headerBytes || at + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + headerBytes, at + length),
    });
    at += pad(length);
  }
  return messages;
}

/** Calls `each` with every attribute from `offset` on; a malformed tail is ignored. */
export function eachAttribute(
  body: Buffer,
  offset: number,
  each: (type: number, payload: Buffer) => void,
): void {
  let at = offset;
  while (at + 4 <= body.length) {
    const length = body.readUInt16LE(at);
    if (length < 4 || at + length > body.length) return;
    each(body.readUInt16LE(at + 2) & typeMask, body.subarray(at + 4, at + length));
    at += pad(length);
  }
}

export function attributesOf(body: Buffer, offset: number): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  eachAttribute(body, offset, (type, payload) => found.set(type, payload));
  return found;
}

/** A NUL-terminated string. */
export function textOf(payload: Buffer | undefined): string {
  if (payload === undefined) return "";
  const end = payload.indexOf(0);
  return payload.toString("utf8", 0, end === -1 ? payload.length : end);
}

const octetText = Array.from({ length: 256 }, (_each, octet) => octet.toString(16).padStart(2, "0"));

/** "02:c0:00:00:00:01" → six bytes. */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

export function macText(bytes: Buffer): string {
  let out = octetText[bytes.readUInt8(0)] ?? "";
  for (let at = 1; at < 6; at += 1) out += `:${octetText[bytes.readUInt8(at)] ?? ""}`;
  return out;
}

/** "10.1.2.3" → four bytes. */
export function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

export function ipv4Text(bytes: Buffer): string {
  return [...bytes.subarray(0, 4)].join(".");
}
