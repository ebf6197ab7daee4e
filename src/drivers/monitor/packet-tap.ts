import { closeSync } from "node:fs";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { openPacketTap } from "#drivers/monitor/namespace-sockets.ts";

const libc = koffi.load("libc.so.6");
const recvmmsgCall = libc.func("int recvmmsg(int, void *, unsigned int, int, void *)");
const getsockoptCall = libc.func("int getsockopt(int, int, int, void *, void *)");
const clockGettimeCall = libc.func("int clock_gettime(int, void *)");

/** Linux's numbers and layouts on 64-bit machines (socket.h, if_packet.h). */
const packetLevel = 263;
const packetStatistics = 6;
const tryAgain = 11;
const messageBytes = 64;
const controlBytes = 64;
const timestampAt = 16;
const ipHeaderBytesMin = 20;
const udpHeaderBytes = 8;

const batch = 64;
const packetBytesMax = 2048;
/** Taken at a time: who sends more than that loses packets here, not the time of this process. */
const drainMax = 4096;

/** Where the kernel puts a batch of packets. Used by one call at a time, so one for all taps. */
class Batch {
  readonly #messages = Buffer.alloc(batch * messageBytes);
  readonly #vectors = Buffer.alloc(batch * 16);
  readonly #data = Buffer.alloc(batch * packetBytesMax);
  readonly #control = Buffer.alloc(batch * controlBytes);

  constructor() {
    for (let index = 0; index < batch; index += 1) {
      const at = index * messageBytes;
      this.#vectors.writeBigUInt64LE(koffi.address(this.#data) + BigInt(index * packetBytesMax), index * 16);
      this.#vectors.writeBigUInt64LE(BigInt(packetBytesMax), index * 16 + 8);
      this.#messages.writeBigUInt64LE(koffi.address(this.#vectors) + BigInt(index * 16), at + 16);
      this.#messages.writeBigUInt64LE(1n, at + 24);
      this.#messages.writeBigUInt64LE(koffi.address(this.#control) + BigInt(index * controlBytes), at + 32);
    }
  }

  /** How many packets came; 0 when none waits. */
  receive(fd: number): number {
    for (let index = 0; index < batch; index += 1)
      this.#messages.writeBigUInt64LE(BigInt(controlBytes), index * messageBytes + 40);
    const count: number = recvmmsgCall(fd, this.#messages, batch, 0, null);
    if (count >= 0) return count;
    if (koffi.errno() === tryAgain) return 0;
    throw new ConsortError("driver_failed", `Cannot watch packets: errno ${koffi.errno()}`);
  }

  /** From its IPv4 header on; valid until the next batch. */
  packet(index: number): Buffer {
    const length = this.#messages.readUInt32LE(index * messageBytes + 56);
    const from = index * packetBytesMax;
    return this.#data.subarray(from, from + Math.min(length, packetBytesMax));
  }

  /** When it came, in ms since the epoch; undefined where the kernel did not tell. */
  arrivedMs(index: number): number | undefined {
    if (this.#messages.readBigUInt64LE(index * messageBytes + 40) < BigInt(timestampAt + 16))
      return undefined;
    const at = index * controlBytes + timestampAt;
    return (
      Number(this.#control.readBigInt64LE(at)) * 1000 + Number(this.#control.readBigInt64LE(at + 8)) / 1e6
    );
  }
}

let shared: Batch | undefined;

/** Sees what UDP packets to one port of an appliance carry, without being in their way. */
export class PacketTap {
  readonly #fd: number;
  readonly #monotonic: () => Millis;
  #isOpen = true;

  constructor(netns: string, udpPort: number, monotonic: () => Millis) {
    this.#monotonic = monotonic;
    this.#fd = openPacketTap(netns, udpPort);
  }

  /** Shows all that has come since the last call, with the monotonic time of its arrival. */
  drain(show: (datagram: Uint8Array, atMs: Millis) => void): void {
    shared ??= new Batch();
    let offsetMs: number | undefined;
    for (let taken = 0; taken < drainMax;) {
      const count = shared.receive(this.#fd);
      if (count === 0) return;
      offsetMs ??= wallOffsetMs(this.#monotonic);
      for (let index = 0; index < count; index += 1) {
        const datagram = udpPayload(shared.packet(index));
        const arrivedMs = shared.arrivedMs(index);
        if (datagram === undefined) continue;
        show(datagram, arrivedMs === undefined ? this.#monotonic() : millis(arrivedMs - offsetMs));
      }
      taken += count;
    }
  }

  /** Whether packets passed by unseen since the last call, as more came than was taken. */
  lostAny(): boolean {
    const statistics = Buffer.alloc(8);
    const length = Buffer.from([8, 0, 0, 0]);
    const failed = getsockoptCall(this.#fd, packetLevel, packetStatistics, statistics, length) !== 0;
    return !failed && statistics.readUInt32LE(4) > 0;
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}

function udpPayload(packet: Buffer): Buffer | undefined {
  if (packet.length < ipHeaderBytesMin) return undefined;
  const from = (packet.readUInt8(0) & 0x0f) * 4 + udpHeaderBytes;
  if (packet.length < from) return undefined;
  const udpLength = packet.readUInt16BE(from - udpHeaderBytes + 4);
  return packet.subarray(from, Math.min(packet.length, from - udpHeaderBytes + udpLength));
}

const attempts = 5;
const closeEnoughMs = 0.05;
const timespec = Buffer.alloc(16);

/** What the wall clock shows more than the monotonic one; of several looks the one least interrupted. */
function wallOffsetMs(monotonic: () => Millis): number {
  let best = { tookMs: Infinity, offsetMs: 0 };
  for (let attempt = 0; attempt < attempts && best.tookMs > closeEnoughMs; attempt += 1) {
    const before = monotonic();
    clockGettimeCall(0, timespec);
    const tookMs = monotonic() - before;
    const wallMs = Number(timespec.readBigInt64LE(0)) * 1000 + Number(timespec.readBigInt64LE(8)) / 1e6;
    if (tookMs < best.tookMs) best = { tookMs, offsetMs: wallMs - before - tookMs / 2 };
  }
  return best.offsetMs;
}
