import type { Millis } from "#base/units.ts";
import { parseRtp } from "#control/monitor/rtp-packet.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { RtpStream } from "#control/monitor/rtp-stream.ts";
import type { RtpInterval } from "#control/monitor/rtp-stream.ts";

type Bucket = RtpInterval & { readonly fromMs: number; readonly toMs: number };
/** Counted over `heardMs`. */
type Rate = {
  readonly isStream: boolean;
  readonly frames: number;
  readonly packets: number;
  readonly heardMs: number;
};
type Heard = { readonly stream: RtpStream; readonly buckets: Bucket[] };

/** Rates and loss are told over this long, so that single frames do not show in them. */
const windowMs = 1000;
/** Of a stream that has only begun no rate can be told. */
const soonestMs = 500;
/** A stream nothing came of for so long is over. */
const silenceMs = 5000;
const streamsMax = 64;
const strayMax = 5;

/**
 * Measures the RTP streams in the packets it is shown (reference vtm.md, monitor interceptors): give it every datagram
 * with the moment it came, and read it in regular intervals. Both by one monotonic clock, in ms.
 *
 * frame-rate: frames per second of the slowest stream, 0 when there is none; packets: per second, of all; jitter:
 * RFC 3550's, of the worst, in ms; deviation: the greatest single one since the last reading, in ms; loss: lost of all
 * packets sent, 0 … 1. Without packets there is no jitter, no deviation and no loss.
 */
export class RtpMonitor {
  readonly #heard = new Map<number, Heard>();
  readonly #beganMs: number;
  #readMs: number;
  #missed = false;
  #missedAtMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: Millis) {
    this.#beganMs = nowMs;
    this.#readMs = nowMs;
  }

  /** What UDP carried. Anything but RTP counts for nothing. */
  packet(datagram: Uint8Array, atMs: Millis): void {
    const packet = parseRtp(datagram);
    if (packet === undefined) return;
    const known = this.#heard.get(packet.ssrc);
    if (known !== undefined) known.stream.take(packet, datagram, atMs);
    else if (this.#hasRoom(atMs))
      this.#heard.set(packet.ssrc, { stream: new RtpStream(packet, datagram, atMs), buckets: [] });
  }

  /** Packets came that could not be shown: what is lost cannot be told from them for a while. */
  missed(): void {
    this.#missed = true;
  }

  /** Rates are told once there was time to count. */
  read(nowMs: Millis): Reading[] {
    if (this.#missed) this.#missedAtMs = nowMs;
    this.#missed = false;
    const fromMs = this.#readMs;
    this.#readMs = nowMs;
    const now: Bucket[] = [];
    const rates: Rate[] = [];
    for (const [ssrc, { stream, buckets }] of this.#heard) {
      const bucket = { ...stream.interval(), fromMs, toMs: nowMs };
      buckets.push(bucket);
      while ((buckets[0]?.toMs ?? nowMs) <= nowMs - windowMs) buckets.shift();
      now.push(bucket);
      const heardMs =
        nowMs - Math.max(stream.beganMs, Math.min(nowMs - windowMs, buckets[0]?.fromMs ?? nowMs));
      // A few strays are no stream whose frames anybody waits for.
      const isStream = stream.heard >= strayMax;
      rates.push({ isStream, frames: total(buckets, "frames"), packets: total(buckets, "packets"), heardMs });
      if (nowMs - stream.lastAtMs > silenceMs) this.#heard.delete(ssrc);
    }
    return [...this.#rates(rates, nowMs), ...this.#quality(now, nowMs)];
  }

  #rates(rates: readonly Rate[], nowMs: number): Reading[] {
    if (nowMs - this.#beganMs < windowMs) return [];
    const known = rates.filter(({ heardMs }) => heardMs >= soonestMs);
    const streams = known.filter(({ isStream }) => isStream);
    const perSecond = streams.map(({ frames, heardMs }) => (frames * 1000) / heardMs);
    const packets = known.reduce((sum, rate) => sum + (rate.packets * 1000) / rate.heardMs, 0);
    if (known.length === 0 && rates.length > 0) return [];
    return [
      { metric: "frame-rate", value: perSecond.length === 0 ? 0 : Math.min(...perSecond) },
      { metric: "packets", value: packets },
    ];
  }

  #quality(now: readonly Bucket[], nowMs: number): Reading[] {
    if (!now.some((bucket) => bucket.received > 0)) return [];
    const heard = [...this.#heard.values()].filter(({ buckets }) => (buckets.at(-1)?.received ?? 0) > 0);
    const recent = [...this.#heard.values()].flatMap(({ buckets }) => buckets);
    const expected = total(recent, "expected");
    const lost = Math.max(0, expected - total(recent, "received"));
    const isKnown = nowMs - this.#missedAtMs > windowMs && expected > 0;
    return [
      { metric: "jitter", value: Math.max(...heard.map(({ stream }) => stream.jitterMs)) },
      { metric: "deviation", value: Math.max(...now.map((bucket) => bucket.deviationMs)) },
      ...(isKnown ? [{ metric: "loss", value: lost / expected }] : []),
    ];
  }

  /** Whoever sends under ever new names takes no place from those that go on. */
  #hasRoom(nowMs: number): boolean {
    if (this.#heard.size < streamsMax) return true;
    for (const [ssrc, { stream }] of this.#heard) {
      if (nowMs - stream.lastAtMs > windowMs) return this.#heard.delete(ssrc);
    }
    return false;
  }
}

const total = (buckets: readonly Bucket[], what: "frames" | "packets" | "expected" | "received"): number =>
  buckets.reduce((sum, bucket) => sum + bucket[what], 0);
