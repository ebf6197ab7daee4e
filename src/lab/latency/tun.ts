import { closeSync, constants, existsSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";

/** Linux's numbers (linux/if_tun.h, poll.h, sched.h). */
const tunSetInterface = 0x4004_54ca;
const tunSetOffload = 0x4004_54d0;
const flagTun = 0x0001;
const flagNoPacketInfo = 0x1000;
const flagVnetHeader = 0x4000;
/** Checksums left to be filled in, TCP over IPv4 in super-frames: up to 64 KB cross the device at once. */
const offloads = 0x01 | 0x02;
const pollIn = 1;
const scheduleFifo = 1;
const interfaceRequestBytes = 40;

const libc = koffi.load("libc.so.6");
const ioctlBuffer = libc.func("int ioctl(int fd, unsigned long request, void *argument)") as (
  fd: number,
  request: number,
  argument: Buffer,
) => number;
const ioctlNumber = libc.func("ioctl", "int", ["int", "unsigned long", "unsigned long"]) as (
  fd: number,
  request: number,
  argument: number,
) => number;
const readInto = libc.func("long read(int fd, void *buffer, unsigned long count)") as (
  fd: number,
  buffer: Buffer,
  count: number,
) => number;
const writeFrom = libc.func("long write(int fd, void *buffer, unsigned long count)") as (
  fd: number,
  buffer: Buffer,
  count: number,
) => number;
const ppoll = libc.func("int ppoll(void *fds, unsigned long count, void *timeout, void *mask)") as (
  fds: Buffer,
  count: number,
  timeout: Buffer | null,
  mask: null,
) => number;
const schedule = libc.func("int sched_setscheduler(int pid, int policy, void *parameter)") as (
  pid: number,
  policy: number,
  parameter: Buffer,
) => number;

/** A TUN device of this network namespace, not blocking; a packet is read and written with its offload header. */
export class Tun {
  readonly fd: number;

  constructor(device: string) {
    this.fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
    const request = Buffer.alloc(interfaceRequestBytes);
    request.write(device, "latin1");
    request.writeUInt16LE(flagTun | flagNoPacketInfo | flagVnetHeader, 16);
    const attached = ioctlBuffer(this.fd, tunSetInterface, request) === 0;
    if (attached && ioctlNumber(this.fd, tunSetOffload, offloads) === 0) return;
    closeSync(this.fd);
    throw new ConsortError(
      "driver_failed",
      `Cannot attach to TUN device ${device}: error ${koffi.errno()}, wanted a device that nothing else is attached to`,
    );
  }

  /** Bytes read; below 1 when nothing waits. */
  read(buffer: Buffer): number {
    return readInto(this.fd, buffer, buffer.length);
  }

  /** A packet the kernel does not take is lost, as on a wire. */
  write(packet: Buffer): void {
    writeFrom(this.fd, packet, packet.length);
  }
}

/** Waits until one of the devices has something to read, or for `timeoutUs`; blocks the whole process. */
export function poller(tuns: readonly Tun[]): (timeoutUs: number) => void {
  const fds = Buffer.alloc(8 * tuns.length);
  tuns.forEach((tun, index) => {
    fds.writeInt32LE(tun.fd, index * 8);
    fds.writeInt16LE(pollIn, index * 8 + 4);
  });
  const timeout = Buffer.alloc(16);
  return (timeoutUs) => {
    if (timeoutUs === Infinity) {
      ppoll(fds, tuns.length, null, null);
      return;
    }
    const wholeUs = Math.max(0, Math.ceil(timeoutUs));
    timeout.writeBigInt64LE(BigInt(Math.floor(wholeUs / 1e6)), 0);
    timeout.writeBigInt64LE(BigInt((wholeUs % 1e6) * 1000), 8);
    ppoll(fds, tuns.length, timeout, null);
  };
}

/**
 * Ahead of all ordinary processes, as a wire does not wait for a CPU. False where that is not allowed: delays are
 * then as late as the machine is busy.
 */
export function runAhead(priority: number, cgroups: Cgroups): boolean {
  // A v1 group has no real-time budget unless given one out of a total that all labs would share: leave it for the
  // root. The other trees keep the mark by which we are found.
  for (const file of cgroups.open("").procsFiles()) {
    if (existsSync(join(dirname(file), "cpu.rt_runtime_us"))) writeFileSync(file, String(process.pid));
  }
  const parameter = Buffer.alloc(4);
  parameter.writeInt32LE(priority);
  return schedule(0, scheduleFifo, parameter) === 0;
}
