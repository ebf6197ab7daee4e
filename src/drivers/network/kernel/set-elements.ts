import { attributesOf, eachAttribute, errno, ipv4Text, macText, text, textOf } from "./netlink-codec.ts";
import type { KernelRequest, NetlinkMessage } from "./netlink-codec.ts";

/** Elements of nft sets as the kernel lists them: binary, so that ten thousand counters are read in milliseconds. */

export const netfilterProtocol = 12;
const bridgeFamily = 7;
const getElements = (10 << 8) | 13;
const listAttribute = 3;
const element = { key: 1, data: 2, expression: 7 } as const;

export type PairElement = {
  readonly from: string;
  readonly to: string;
  readonly packets: number;
  readonly bytes: number;
  /** Of the map of classes. */
  readonly classId?: number;
};

export type SourceElement = { readonly port: string; readonly mac: string; readonly address: string };

/** Empty when the table or the set does not exist. */
export function showElements(table: string, set: string, family = bridgeFamily): KernelRequest {
  return {
    what: `list the elements of ${set}`,
    type: getElements,
    flags: 0,
    tolerate: [errno.ENOENT],
    body: Buffer.concat([Buffer.from([family, 0, 0, 0]), text(1, table), text(2, set)]),
  };
}

type ElementParts = { key?: Buffer; data?: Buffer; expression?: Buffer };

function eachElement(message: NetlinkMessage, each: (parts: ElementParts) => void): void {
  const list = attributesOf(message.body, 4).get(listAttribute);
  if (list === undefined) return;
  eachAttribute(list, 0, (_type, payload) => {
    const parts: ElementParts = {};
    eachAttribute(payload, 0, (type, part) => {
      if (type === element.key) parts.key = part;
      else if (type === element.data) parts.data = part;
      else if (type === element.expression) parts.expression = part;
    });
    each(parts);
  });
}

const value = (data: Buffer | undefined): Buffer | undefined =>
  data === undefined ? undefined : attributesOf(data, 0).get(1);

/** Concatenated parts each start on four bytes: a MAC takes eight. `usedOnly` leaves out pairs without a frame. */
export function pairElements(
  messages: readonly NetlinkMessage[],
  options: { readonly usedOnly: boolean },
): readonly PairElement[] {
  const found: PairElement[] = [];
  for (const message of messages) {
    eachElement(message, (parts) => {
      const counter = counterOf(parts.expression);
      if (options.usedOnly && counter.packets === 0) return;
      const key = value(parts.key);
      if (key === undefined || key.length < 14) return;
      const classId = value(parts.data);
      found.push({
        from: macText(key),
        to: macText(key.subarray(8)),
        ...counter,
        ...(classId === undefined ? {} : { classId: classId.readUInt32LE(0) }),
      });
    });
  }
  return found;
}

/** Of a map from addresses to classes. */
export function receiverElements(
  messages: readonly NetlinkMessage[],
): readonly { readonly mac: string; readonly classId: number }[] {
  const found: { readonly mac: string; readonly classId: number }[] = [];
  for (const message of messages) {
    eachElement(message, (parts) => {
      const key = value(parts.key);
      const classId = value(parts.data);
      if (key === undefined || key.length < 6 || classId === undefined) return;
      found.push({ mac: macText(key), classId: classId.readUInt32LE(0) });
    });
  }
  return found;
}

export function sourceElements(messages: readonly NetlinkMessage[]): readonly SourceElement[] {
  const found: SourceElement[] = [];
  for (const message of messages) {
    eachElement(message, (parts) => {
      const key = value(parts.key);
      if (key === undefined || key.length < 28) return;
      found.push({
        port: textOf(key.subarray(0, 16)),
        mac: macText(key.subarray(16)),
        address: ipv4Text(key.subarray(24)),
      });
    });
  }
  return found;
}

function counterOf(expression: Buffer | undefined): { packets: number; bytes: number } {
  const counter = { packets: 0, bytes: 0 };
  if (expression === undefined) return counter;
  eachAttribute(expression, 0, (part, data) => {
    if (part !== 2) return;
    eachAttribute(data, 0, (type, amount) => {
      if (type === 1) counter.bytes = Number(amount.readBigUInt64BE(0));
      else if (type === 2) counter.packets = Number(amount.readBigUInt64BE(0));
    });
  });
  return counter;
}
