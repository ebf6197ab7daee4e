/** What the header of one RTP packet says (RFC 3550, 5.1); `payloadFrom` is where its payload begins. */
export type RtpPacket = {
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payloadFrom: number;
};

const headerBytes = 12;
const version = 2;
/** RTCP on the same port: its packet types 192 … 223 look like these payload types (RFC 5761). */
const looksLikeRtcp = (payloadType: number): boolean => payloadType >= 64 && payloadType <= 95;

/** Undefined: it is no RTP packet. `datagram` is what UDP carried, perhaps cut short behind the header. */
export function parseRtp(datagram: Uint8Array): RtpPacket | undefined {
  if (datagram.length < headerBytes) return undefined;
  const [first, second] = [byteAt(datagram, 0), byteAt(datagram, 1)];
  const payloadType = second & 0x7f;
  if (first >> 6 !== version || looksLikeRtcp(payloadType)) return undefined;
  const sources = headerBytes + 4 * (first & 0x0f);
  const hasExtension = (first & 0x10) !== 0;
  if (datagram.length < sources + (hasExtension ? 4 : 0)) return undefined;
  const extension = hasExtension ? 4 + 4 * wordAt(datagram, sources + 2) : 0;
  return {
    marker: (second & 0x80) !== 0,
    payloadType,
    sequence: wordAt(datagram, 2),
    timestamp: wordAt(datagram, 4) * 0x1_0000 + wordAt(datagram, 6),
    ssrc: wordAt(datagram, 8) * 0x1_0000 + wordAt(datagram, 10),
    payloadFrom: sources + extension,
  };
}

const byteAt = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0;
const wordAt = (bytes: Uint8Array, at: number): number => byteAt(bytes, at) * 256 + byteAt(bytes, at + 1);

/** Ticks of an RTP timestamp in a second; of types that are not fixed, what video uses (RFC 3551, 6). */
export function clockRateHz(payloadType: number): number {
  return audioRates.get(payloadType) ?? 90_000;
}

const audioRates: ReadonlyMap<number, number> = new Map([
  ...[0, 3, 4, 5, 7, 8, 9, 12, 13, 15, 18].map((type): [number, number] => [type, 8000]),
  [6, 16_000],
  [10, 44_100],
  [11, 44_100],
  [16, 11_025],
  [17, 22_050],
]);

export const transportStreamType = 33;
