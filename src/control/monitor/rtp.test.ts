import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { millis } from "#base/units.ts";
import { RtpMonitor } from "#control/monitor/rtp-monitor.ts";
import { parseRtp } from "#control/monitor/rtp-packet.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { videoFramesBegun } from "#control/monitor/transport-stream.ts";

type Fields = {
  sequence: number;
  timestamp: number;
  ssrc?: number;
  payloadType?: number;
  marker?: boolean;
  payload?: Uint8Array;
};

function datagram({
  sequence,
  timestamp,
  ssrc = 7,
  payloadType = 96,
  marker = false,
  payload,
}: Fields): Uint8Array {
  const bytes = Buffer.alloc(12 + (payload?.length ?? 0));
  bytes[0] = 0x80;
  bytes[1] = payloadType | (marker ? 0x80 : 0);
  bytes.writeUInt16BE(sequence % 0x1_0000, 2);
  bytes.writeUInt32BE(timestamp % 0x1_0000_0000, 4);
  bytes.writeUInt32BE(ssrc, 8);
  bytes.set(payload ?? [], 12);
  return bytes;
}

const value = (readings: readonly Reading[], metric: string): number | undefined =>
  readings.find((reading) => reading.metric === metric)?.value;

/** 25 frames a second of two packets each, from sequence number and timestamp close to their end. */
const frameTicks = 3600;
const packetOf = (index: number): Fields => ({
  sequence: 65_500 + index,
  timestamp: 0xffff_f000 + Math.floor(index / 2) * frameTicks,
});
const dueMs = (index: number): number => Math.floor(index / 2) * 40;

/** Readings after two seconds of a stream of which `heard` says which packets come, and how late. */
function watched(heard: (index: number) => number | undefined): Reading[] {
  const monitor = new RtpMonitor(millis(0));
  const packets = Array.from({ length: 100 }, (_, index) => ({ index, late: heard(index) }))
    .flatMap(({ index, late }) => (late === undefined ? [] : [{ index, atMs: dueMs(index) + late }]))
    .toSorted((a, b) => a.atMs - b.atMs);
  let readings: Reading[] = [];
  for (let until = 1000; until <= 2000; until += 1000) {
    for (const { index, atMs } of packets)
      if (atMs >= until - 1000 && atMs < until) monitor.packet(datagram(packetOf(index)), millis(atMs));
    readings = monitor.read(millis(until));
  }
  return readings;
}

describe("RtpMonitor", () => {
  it("finds nothing wrong with a stream that keeps time, also where its numbers begin again at 0", () => {
    assert.deepEqual(
      watched(() => 0),
      [
        { metric: "frame-rate", value: 25 },
        { metric: "packets", value: 50 },
        { metric: "jitter", value: 0 },
        { metric: "deviation", value: 0 },
        { metric: "loss", value: 0 },
      ],
    );
  });

  it("counts what is missing between what came as lost", () => {
    const readings = watched((index) => (index >= 60 && index < 65 ? undefined : 0));
    assert.equal(value(readings, "loss"), 5 / 50);
    assert.equal(value(readings, "packets"), 45);
    assert.equal(value(readings, "frame-rate"), 23, "two frames and a half: one of them still shows");
  });

  it("takes what comes late or twice for neither lost nor new frames", () => {
    const monitor = new RtpMonitor(millis(0));
    const at = (index: number): void => monitor.packet(datagram(packetOf(index)), millis(dueMs(index)));
    [0, 1, 2, 4, 5, 3, 6, 6, 7].forEach(at);
    const readings = monitor.read(millis(1000));
    assert.equal(value(readings, "loss"), 0);
    assert.equal(value(readings, "frame-rate"), 4);
  });

  it("measures deviation in ms, and jitter smoothed over 16 packets (RFC 3550)", () => {
    const once = watched((index) => (index === 60 || index === 61 ? 32 : 0));
    assert.equal(value(once, "deviation"), 32);
    const jitter = value(once, "jitter") ?? Number.NaN;
    // 2 ms when it came late, 2 more when the next came early again, smoothed over the 37 packets since.
    const expected = (2 * (15 / 16) + (32 - 2 * (15 / 16)) / 16) * (15 / 16) ** 37;
    assert.ok(Math.abs(jitter - expected) < 1e-9, `${jitter}, not ${expected}`);
  });

  it("tells what there is without packets: rates of nothing", () => {
    const monitor = new RtpMonitor(millis(0));
    assert.deepEqual(monitor.read(millis(500)), [], "too soon to tell a rate");
    assert.deepEqual(monitor.read(millis(1000)), [
      { metric: "frame-rate", value: 0 },
      { metric: "packets", value: 0 },
    ]);
  });

  it("counts a stream from its first packet on, once it has played for a while", () => {
    const monitor = new RtpMonitor(millis(0));
    const rateAt = (nowMs: number): number | undefined => value(monitor.read(millis(nowMs)), "frame-rate");
    assert.equal(rateAt(2000), 0);
    const heardUntil = (untilMs: number): void => {
      for (let index = 0; index < 100; index += 1) {
        const atMs = 2300 + dueMs(index);
        if (atMs >= untilMs - 200 && atMs < untilMs) monitor.packet(datagram(packetOf(index)), millis(atMs));
      }
    };
    const rates = [2400, 2600, 2800, 3000, 3200].map((untilMs) => {
      heardUntil(untilMs);
      return rateAt(untilMs);
    });
    assert.deepEqual(rates.slice(0, 2), [undefined, undefined]);
    for (const rate of rates.slice(2)) assert.ok(rate !== undefined && rate >= 25 && rate <= 27, `${rate}`);
  });

  it("sees a stream that stops: its rate falls to nothing, then it is forgotten", () => {
    const monitor = new RtpMonitor(millis(0));
    for (let index = 0; index < 50; index += 1) {
      monitor.packet(datagram({ ...packetOf(index), ssrc: 1 }), millis(dueMs(index)));
    }
    const rates: (number | undefined)[] = [];
    for (let second = 1; second <= 10; second += 1) {
      for (let index = 0; index < 50; index += 1)
        monitor.packet(
          datagram({ ...packetOf(second * 50 + index), ssrc: 2 }),
          millis(second * 1000 - 990 + dueMs(index)),
        );
      rates.push(value(monitor.read(millis(second * 1000)), "frame-rate"));
    }
    assert.deepEqual(rates, [25, 0, 0, 0, 0, 0, 25, 25, 25, 25]);
  });

  it("tells the worst of several streams, and the loss of all", () => {
    const monitor = new RtpMonitor(millis(0));
    for (let index = 0; index < 50; index += 1) {
      monitor.packet(datagram({ ...packetOf(index), ssrc: 1 }), millis(dueMs(index)));
      if (index % 4 < 2)
        monitor.packet(
          datagram({ ...packetOf(index), ssrc: 2 }),
          millis(dueMs(index) + (index % 8 < 4 ? 0 : 9)),
        );
    }
    const readings = monitor.read(millis(1000));
    assert.equal(value(readings, "frame-rate"), 13);
    assert.equal(value(readings, "deviation"), 9);
    assert.equal(value(readings, "loss"), 24 / 100);
    assert.equal(value(readings, "packets"), 76);
  });

  it("follows a sender that began anew, and is not led astray by single packets", () => {
    const monitor = new RtpMonitor(millis(0));
    const send = (sequence: number): void =>
      monitor.packet(datagram({ sequence, timestamp: sequence * frameTicks }), millis(0));
    [10, 11, 12, 40_000, 13, 14].forEach(send);
    assert.equal(value(monitor.read(millis(1000)), "loss"), 0);
    [30_000, 30_001, 30_003].forEach(send);
    assert.equal(value(monitor.read(millis(2001)), "loss"), 1 / 3);
  });

  it("tells no loss while packets passed it by", () => {
    const monitor = new RtpMonitor(millis(0));
    const send = (index: number): void => monitor.packet(datagram(packetOf(index)), millis(index));
    [0, 1, 5].forEach(send);
    monitor.missed();
    assert.equal(value(monitor.read(millis(1000)), "loss"), undefined);
    [6, 7].forEach(send);
    assert.equal(
      value(monitor.read(millis(1999)), "loss"),
      undefined,
      "what was missed is still in the window",
    );
    [8, 9].forEach(send);
    assert.equal(value(monitor.read(millis(3000)), "loss"), 0);
  });

  it("keeps to its streams whatever is sent under ever new names", () => {
    const monitor = new RtpMonitor(millis(0));
    for (let index = 0; index < 50; index += 1) {
      monitor.packet(datagram(packetOf(index)), millis(dueMs(index)));
      for (let other = 0; other < 100; other += 1)
        monitor.packet(
          datagram({ sequence: 1, timestamp: 0, ssrc: 1000 + index * 100 + other }),
          millis(dueMs(index)),
        );
    }
    const readings = monitor.read(millis(1000));
    assert.equal(value(readings, "packets"), 50 + 63);
    assert.equal(value(readings, "frame-rate"), 25, "strays are no streams");
  });

  it("survives anything, and takes no RTCP for RTP", () => {
    assert.equal(parseRtp(Buffer.from("80c8000600000001", "hex").subarray(0)), undefined);
    assert.equal(parseRtp(Buffer.concat([Buffer.from([0x80, 200, 0, 6]), Buffer.alloc(24)])), undefined);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 })), (packets) => {
        const monitor = new RtpMonitor(millis(0));
        packets.forEach((packet, index) => {
          if (index % 2 === 0 && packet.length > 1)
            [packet[0], packet[1]] = [0x80 | ((packet[0] ?? 0) & 0x3f), 33];
          monitor.packet(packet, millis(index));
        });
        for (const reading of monitor.read(millis(5000))) assert.ok(Number.isFinite(reading.value));
      }),
    );
  });

  it("counts exactly what is lost, whatever is", () => {
    const pattern = fc.array(fc.boolean(), { minLength: 2, maxLength: 80 });
    fc.assert(
      fc.property(pattern, fc.integer({ min: 0, max: 65_535 }), (arrives, from) => {
        const monitor = new RtpMonitor(millis(0));
        const came = [true, ...arrives, true];
        came.forEach((yes, index) => {
          if (yes) monitor.packet(datagram({ sequence: from + index, timestamp: index }), millis(index));
        });
        const lost = came.filter((yes) => !yes).length;
        assert.equal(value(monitor.read(millis(1000)), "loss"), lost / came.length);
      }),
    );
  });
});

/** One transport stream packet; `begins`: the stream id of the PES that begins in it. */
function tsPacket(begins?: number, adaptation = 0): Uint8Array {
  const packet = Buffer.alloc(188, 0xff);
  packet.set([0x47, begins === undefined ? 0x01 : 0x41, 0x00, adaptation > 0 ? 0x30 : 0x10]);
  if (adaptation > 0) packet[4] = adaptation - 1;
  if (begins !== undefined) packet.set([0, 0, 1, begins].slice(0, 184 - adaptation), 4 + adaptation);
  return packet;
}

describe("MPEG transport stream in RTP", () => {
  it("has frames where a video PES begins, not where audio does or one goes on", () => {
    const payload = Buffer.concat([
      tsPacket(0xe0, 8),
      tsPacket(),
      tsPacket(0xc0),
      tsPacket(0xe0),
      tsPacket(),
    ]);
    assert.equal(videoFramesBegun(payload), 2);
    assert.equal(videoFramesBegun(Buffer.from([1, 2, 3])), undefined);
    assert.equal(videoFramesBegun(tsPacket(0xe0, 183)), 0, "a header behind its packet's end is none");
  });

  it("tells its frame rate though every packet has a timestamp of its own", () => {
    const monitor = new RtpMonitor(millis(0));
    for (let index = 0; index < 100; index += 1) {
      const payload = index % 4 === 0 ? tsPacket(0xe0) : tsPacket();
      monitor.packet(
        datagram({ sequence: index, timestamp: index * 900, payloadType: 33, payload }),
        millis(index * 10),
      );
    }
    assert.equal(value(monitor.read(millis(1000)), "frame-rate"), 25);
  });
});
