import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { frameArrivals, packetBins, parseArrivals, quality } from "../../bench/video/arrivals.ts";
import type { Arrival } from "../../bench/video/arrivals.ts";

/** What the bench tells of films is taken from what a receiver saw: here from streams whose quality is known. */
const beginUs = 1.7e15;
const frameUs = 40_000;
const packetsPerFrame = 4;

type Shape = {
  readonly frames: number;
  readonly film?: number;
  readonly firstSequence?: number;
  readonly firstTimestamp?: number;
  /** Of one packet: when it comes beside its time, or that it never comes. */
  readonly fate?: (frame: number, packet: number) => number | "lost";
};

function stream(shape: Shape): Arrival[] {
  const { film = 1, firstSequence = 0, firstTimestamp = 0, fate = () => 0 } = shape;
  return Array.from({ length: shape.frames * packetsPerFrame }, (_, at) => {
    const frame = Math.floor(at / packetsPerFrame);
    const late = fate(frame, at % packetsPerFrame);
    if (late === "lost") return [];
    const atUs = beginUs + frame * frameUs + (at % packetsPerFrame) + late;
    const sequence = (firstSequence + at) % 2 ** 16;
    return [{ film, sequence, timestamp: (firstTimestamp + frame * 3600) % 2 ** 32, atUs }];
  }).flat();
}

const all = { fromUs: beginUs, untilUs: beginUs + 1e9 };
const window = (seconds: number) => ({ fromUs: beginUs, untilUs: beginUs + seconds * 1e6 });

test("a film in time has no jitter, no loss, and all its packets", () => {
  const seen = quality(stream({ frames: 100 }), window(4));
  assert.equal(seen.deviationMsMax, 0);
  assert.equal(seen.lossRatio, 0);
  assert.equal(seen.packets, 400);
  assert.ok(Math.abs(seen.receivedRatio - 1) < 0.001, String(seen.receivedRatio));
  assert.ok(Math.abs(seen.behindMs) < 0.01, String(seen.behindMs));
});

test("a film in time is the same wherever its numbers begin", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 16 - 1), fc.nat(2 ** 32 - 1), (firstSequence, firstTimestamp) => {
      const seen = quality(stream({ frames: 50, firstSequence, firstTimestamp }), window(2));
      assert.deepEqual(seen, quality(stream({ frames: 50 }), window(2)));
    }),
  );
});

test("one frame that is 7 ms late deviates by 7 ms, and so does the next one", () => {
  const arrivals = stream({ frames: 5, fate: (frame) => (frame === 2 ? 7_000 : 0) });
  assert.deepEqual(
    frameArrivals(arrivals).map(({ deviationMs }) => deviationMs),
    [0, 7, -7, 0],
  );
  assert.equal(quality(arrivals, all).deviationMsMax, 7);
});

test("every tenth packet lost is a tenth lost, though all were sent", () => {
  const lost = stream({
    frames: 250,
    fate: (frame, packet) => ((frame * 4 + packet) % 10 === 5 ? "lost" : 0),
  });
  const seen = quality(lost, window(10));
  assert.ok(Math.abs(seen.lossRatio - 0.1) < 0.001, String(seen.lossRatio));
  assert.ok(Math.abs(seen.sentRatio - 1) < 0.005, String(seen.sentRatio));
  assert.ok(Math.abs(seen.receivedRatio - 0.9) < 0.005, String(seen.receivedRatio));
});

test("a server at four fifths of the speed has sent four fifths, and is behind by the rest", () => {
  const slow = stream({ frames: 100, fate: (frame) => frame * 10_000 });
  const seen = quality(slow, window(5));
  assert.equal(seen.lossRatio, 0);
  assert.ok(Math.abs(seen.sentRatio - 0.8) < 0.005, String(seen.sentRatio));
  assert.ok(Math.abs(seen.behindMs - 990) < 1, String(seen.behindMs));
});

test("a film that stands still has not sent what was due", () => {
  const seen = quality(stream({ frames: 50 }), window(4));
  assert.ok(Math.abs(seen.sentRatio - 0.5) < 0.02, String(seen.sentRatio));
});

test("packets that overtake each other are neither lost nor late frames", () => {
  const inTime = stream({ frames: 50 });
  const overtaken = inTime.map((packet, at) => {
    const other = at % 4 === 1 ? inTime[at + 1] : at % 4 === 2 ? inTime[at - 1] : packet;
    return { ...packet, sequence: other?.sequence ?? 0 };
  });
  const seen = quality(overtaken, window(2));
  assert.equal(seen.lossRatio, 0);
  assert.equal(seen.deviationMsMax, 0);
});

test("films are told apart, and the worse one gives the jitter", () => {
  const shaken = stream({ frames: 100, film: 2, fate: (frame) => (frame % 2) * 3_000 });
  const both = [...stream({ frames: 100 }), ...shaken].sort((a, b) => a.atUs - b.atUs);
  const seen = quality(both, window(4));
  assert.equal(seen.deviationMsMax, 3);
  assert.equal(seen.jitterMs, quality(shaken, window(4)).jitterMs);
  assert.equal(seen.lossRatio, 0);
});

test("stretches of time in which nothing came are empty, and others full", () => {
  const gap = stream({ frames: 100, fate: (frame) => (frame >= 25 && frame < 50 ? "lost" : 0) });
  const ratios = packetBins(gap, 1_000_000).map(({ ratio }) => Math.round(ratio * 10) / 10);
  assert.deepEqual(ratios, [1, 0, 1]);
});

test("a torn last line and other words are left out", () => {
  const text = "1 7 3600 1700000000000000\n5 8 7200 1700000000040000\n1 9 108";
  assert.deepEqual(parseArrivals(`cannot listen\n${text}`), [
    { film: 1, sequence: 7, timestamp: 3600, atUs: 1.7e15 },
    { film: 5, sequence: 8, timestamp: 7200, atUs: 1.7e15 + frameUs },
  ]);
});
