import { quantile } from "#base/quantiles.ts";

/**
 * What a receiver of RTP saw, and how good that was. Pure.
 *
 * A frame has arrived when its last packet has. Its deviation is how much longer it came after the frame before than it
 * should have by their RTP timestamps: RFC 3550's D, of frames. Positive: late.
 */

/** One RTP packet: number of its film (the SSRC), RTP sequence number and timestamp (90 kHz), kernel's time of its arrival. */
export type Arrival = {
  readonly film: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly atUs: number;
};

export type FrameArrival = { readonly film: number; readonly atUs: number; readonly deviationMs: number };

export type Quality = {
  readonly deviationMsMax: number;
  readonly deviationMsP99: number;
  /** RFC 3550's running estimate, its mean over the time, of the stream where that was highest. */
  readonly jitterMs: number;
  /** Of what was sent, 0..1: gaps in the sequence numbers. */
  readonly lossRatio: number;
  /** Of what streams in time would have sent, 0..1: less when servers fall behind. */
  readonly sentRatio: number;
  /** Of the same, 0..1. */
  readonly receivedRatio: number;
  readonly packets: number;
  /** How far the stream that is furthest behind fell behind in the time. */
  readonly behindMs: number;
};

const timestampsPerMs = 90;
const sequences = 2 ** 16;
const timestamps = 2 ** 32;

/** Lines "film sequence timestamp microseconds"; a torn last line is left out. */
export function parseArrivals(text: string): Arrival[] {
  return text.split("\n").flatMap((line) => {
    const [film, sequence, timestamp, atUs, ...rest] = line.split(" ").map(Number);
    if (film === undefined || sequence === undefined || timestamp === undefined || atUs === undefined)
      return [];
    return rest.length === 0 && atUs > 1e15 ? [{ film, sequence, timestamp, atUs }] : [];
  });
}

/** Packets by film, in the order of arrival, with numbers that do not wrap around. */
function streams(arrivals: readonly Arrival[]): Arrival[][] {
  const byFilm = new Map<number, Arrival[]>();
  for (const arrival of arrivals) {
    const stream = byFilm.get(arrival.film) ?? [];
    byFilm.set(arrival.film, stream);
    const last = stream.at(-1);
    stream.push(last === undefined ? arrival : unwrapped(arrival, last));
  }
  return [...byFilm.entries()].sort(([a], [b]) => a - b).map(([, stream]) => stream);
}

function unwrapped(arrival: Arrival, last: Arrival): Arrival {
  return {
    ...arrival,
    sequence: nearest(arrival.sequence, last.sequence, sequences),
    timestamp: nearest(arrival.timestamp, last.timestamp, timestamps),
  };
}

/** The number congruent to `value` that is nearest to `last`. */
function nearest(value: number, last: number, modulus: number): number {
  return value + Math.round((last - value) / modulus) * modulus;
}

/** Of every frame but the first of each stream. */
export function frameArrivals(arrivals: readonly Arrival[]): FrameArrival[] {
  return streams(arrivals).flatMap((stream) => {
    const frames = lastPackets(stream);
    return frames.slice(1).map((frame, index) => {
      const before = frames[index] ?? frame;
      const deviationMs =
        (frame.atUs - before.atUs) / 1000 - (frame.timestamp - before.timestamp) / timestampsPerMs;
      return { film: frame.film, atUs: frame.atUs, deviationMs };
    });
  });
}

/** Of every frame, in the order of frames; packets may have overtaken each other. */
function lastPackets(stream: readonly Arrival[]): Arrival[] {
  const frames = new Map<number, Arrival>();
  for (const packet of stream) {
    const last = frames.get(packet.timestamp);
    if (last === undefined || last.atUs < packet.atUs) frames.set(packet.timestamp, packet);
  }
  return [...frames.values()].sort((a, b) => a.timestamp - b.timestamp);
}

/**
 * Of packets that arrived from `fromUs` until before `untilUs`. The first and last packet of each stream in the time
 * say how much it should have sent; what a stream sends in its own time is taken from itself.
 */
export function quality(
  arrivals: readonly Arrival[],
  window: { readonly fromUs: number; readonly untilUs: number },
): Quality {
  const seen = arrivals.filter(({ atUs }) => atUs >= window.fromUs && atUs < window.untilUs);
  const each = streams(seen).filter((stream) => lastPackets(stream).length > 1);
  const deviations = frameArrivals(seen).map(({ deviationMs }) => Math.abs(deviationMs));
  const flows = each.map((stream) => flowOf(stream, window.untilUs));
  const sum = (of: (flow: Flow) => number): number => flows.reduce((total, flow) => total + of(flow), 0);
  const due = sum((flow) => flow.due);
  return {
    deviationMsMax: Math.max(...deviations),
    deviationMsP99: quantile(deviations, 0.99),
    jitterMs: Math.max(...each.map(meanJitterMs)),
    lossRatio: 1 - sum((flow) => flow.received) / sum((flow) => flow.sent),
    sentRatio: sum((flow) => flow.sent) / due,
    receivedRatio: sum((flow) => flow.received) / due,
    packets: sum((flow) => flow.received),
    behindMs: Math.max(...flows.map((flow) => flow.behindMs)),
  };
}

type Flow = {
  readonly received: number;
  readonly sent: number;
  readonly due: number;
  readonly behindMs: number;
};

/** Longer silence at the end of the time is not the pause between frames. */
const silenceUs = 200_000;

/** From its first packet to its last, or to the end of the time when nothing comes any more. */
function flowOf(stream: readonly Arrival[], untilUs: number): Flow {
  const frames = lastPackets(stream);
  const [first, last] = [stream[0], frames.at(-1)];
  if (first === undefined || last === undefined) throw new Error("a stream without packets");
  const sequencesSeen = stream.map(({ sequence }) => sequence);
  const sent = Math.max(...sequencesSeen) - Math.min(...sequencesSeen) + 1;
  const streamedMs = (last.timestamp - first.timestamp) / timestampsPerMs;
  const endUs = untilUs - last.atUs > silenceUs ? untilUs : last.atUs;
  const elapsedMs = (endUs - first.atUs) / 1000;
  return {
    received: stream.length,
    sent,
    due: (sent * elapsedMs) / streamedMs,
    behindMs: elapsedMs - streamedMs,
  };
}

/** RFC 3550, 6.4.1, after every packet. */
function meanJitterMs(stream: readonly Arrival[]): number {
  let jitter = 0;
  let total = 0;
  for (let index = 1; index < stream.length; index += 1) {
    const [packet, before] = [stream[index], stream[index - 1]];
    if (packet === undefined || before === undefined) continue;
    const difference =
      (packet.atUs - before.atUs) / 1000 - (packet.timestamp - before.timestamp) / timestampsPerMs;
    jitter += (Math.abs(difference) - jitter) / 16;
    total += jitter;
  }
  return total / Math.max(1, stream.length - 1);
}

/** Of what all films send that were under way, what came in each whole stretch of time. */
export function packetBins(
  arrivals: readonly Arrival[],
  lengthUs: number,
): { readonly fromUs: number; readonly ratio: number }[] {
  const first = arrivals[0]?.atUs ?? 0;
  const last = arrivals.at(-1)?.atUs ?? first;
  const each = streams(arrivals).map((stream) => ({ stream, perUs: packetsPerUs(stream) }));
  return Array.from({ length: Math.floor((last - first) / lengthUs) }, (_, index) => {
    const fromUs = first + index * lengthUs;
    const untilUs = fromUs + lengthUs;
    let due = 0;
    let came = 0;
    for (const { stream, perUs } of each) {
      const beganUs = Math.max(fromUs, stream[0]?.atUs ?? untilUs);
      due += Math.max(0, untilUs - beganUs) * perUs;
      came += stream.filter(({ atUs }) => atUs >= fromUs && atUs < untilUs).length;
    }
    return { fromUs, ratio: came / due };
  });
}

/** By the stream's own time: it sends more slowly when its server falls behind. */
function packetsPerUs(stream: readonly Arrival[]): number {
  const [first, last] = [stream[0], stream.at(-1)];
  if (first === undefined || last === undefined || first.timestamp === last.timestamp) return 0;
  const streamedUs = ((last.timestamp - first.timestamp) * 1000) / timestampsPerMs;
  return (last.sequence - first.sequence) / streamedUs;
}
