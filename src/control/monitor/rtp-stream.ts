import { clockRateHz, transportStreamType } from "#control/monitor/rtp-packet.ts";
import type { RtpPacket } from "#control/monitor/rtp-packet.ts";
import { videoFramesBegun } from "#control/monitor/transport-stream.ts";

/** What was seen of one stream between two readings. `expected` counts sequence numbers, `received` packets. */
export type RtpInterval = {
  readonly packets: number;
  readonly frames: number;
  readonly expected: number;
  readonly received: number;
  /** Between two packets that follow each other: how far apart they came, against what their timestamps say; the greatest. */
  readonly deviationMs: number;
};

/** Further ahead than this is no loss but a sender that began anew; so is further behind than the other (RFC 3550, A.1). */
const dropoutMax = 3000;
const misorderMax = 100;
const sequences = 0x1_0000;
const jitterGain = 1 / 16;

/** One source of RTP packets: loss by its sequence numbers, jitter by its timestamps (RFC 3550, A.1, A.3, A.8). */
export class RtpStream {
  readonly #clockRateHz: number;
  /** When anything of it was heard first, and last. */
  readonly beganMs: number;
  lastAtMs: number;
  /** Packets of it, ever. */
  heard = 0;
  #highest: number;
  /** Of the packet with the highest number. */
  #highestAtMs: number;
  #lastTimestamp: number;
  #jitterMs = 0;
  #strange: number | undefined;
  #packets = 0;
  #frames = 0;
  #expected = 0;
  #received = 0;
  #deviationMs = 0;

  constructor(first: RtpPacket, datagram: Uint8Array, atMs: number) {
    this.#clockRateHz = clockRateHz(first.payloadType);
    this.#highest = first.sequence;
    this.beganMs = atMs;
    this.lastAtMs = atMs;
    this.#highestAtMs = atMs;
    this.#lastTimestamp = first.timestamp;
    this.#count(first, datagram, true);
    this.#expected = 1;
  }

  /** RFC 3550's interarrival jitter: smoothed over about 16 packets. */
  get jitterMs(): number {
    return this.#jitterMs;
  }

  take(packet: RtpPacket, datagram: Uint8Array, atMs: number): void {
    this.lastAtMs = atMs;
    const ahead = (packet.sequence - this.#highest + sequences) % sequences;
    if (ahead === 0 || ahead > sequences - misorderMax) {
      // What is late, or comes twice, was expected already, and its frame counted.
      this.#count(packet, datagram, false);
      return;
    }
    if (ahead >= dropoutMax) return this.#jump(packet, datagram, atMs);
    this.#time(packet, atMs);
    this.#expected += ahead;
    this.#count(packet, datagram, packet.timestamp !== this.#lastTimestamp);
    this.#follow(packet, atMs);
  }

  /** Since the last call. */
  interval(): RtpInterval {
    const interval = {
      packets: this.#packets,
      frames: this.#frames,
      expected: this.#expected,
      received: this.#received,
      deviationMs: this.#deviationMs,
    };
    [this.#packets, this.#frames, this.#expected, this.#received, this.#deviationMs] = [0, 0, 0, 0, 0];
    return interval;
  }

  /** Two packets in sequence after a jump: the sender began anew. One alone is a stray. */
  #jump(packet: RtpPacket, datagram: Uint8Array, atMs: number): void {
    this.#packets += 1;
    if (packet.sequence !== this.#strange) {
      this.#strange = (packet.sequence + 1) % sequences;
      return;
    }
    this.#packets -= 1;
    this.#expected += 1;
    this.#count(packet, datagram, true);
    this.#follow(packet, atMs);
  }

  #follow(packet: RtpPacket, atMs: number): void {
    this.#strange = undefined;
    this.#highest = packet.sequence;
    this.#highestAtMs = atMs;
    this.#lastTimestamp = packet.timestamp;
  }

  #count(packet: RtpPacket, datagram: Uint8Array, isNewTimestamp: boolean): void {
    this.heard += 1;
    this.#packets += 1;
    this.#received += 1;
    const video =
      packet.payloadType === transportStreamType
        ? videoFramesBegun(datagram.subarray(packet.payloadFrom))
        : undefined;
    this.#frames += video ?? (isNewTimestamp ? 1 : 0);
  }

  #time(packet: RtpPacket, atMs: number): void {
    const ticks = (packet.timestamp - this.#lastTimestamp) | 0;
    const apartMs = (ticks * 1000) / this.#clockRateHz;
    const deviationMs = Math.abs(atMs - this.#highestAtMs - apartMs);
    this.#jitterMs += (deviationMs - this.#jitterMs) * jitterGain;
    this.#deviationMs = Math.max(this.#deviationMs, deviationMs);
  }
}
