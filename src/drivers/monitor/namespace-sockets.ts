import { closeSync, openSync } from "node:fs";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";
import { inNamespace } from "#drivers/network/kernel/libc.ts";

/** Sockets inside another network namespace. They stay there, and can be used, once this thread is back. */
const libc = koffi.load("libc.so.6");
const socketCall = libc.func("int socket(int, int, int)");
const bindCall = libc.func("int bind(int, void *, uint32_t)");
const connectCall = libc.func("int connect(int, void *, uint32_t)");
const setsockoptCall = libc.func("int setsockopt(int, int, int, void *, uint32_t)");

/** Linux's numbers (socket.h, if_packet.h, errno.h). */
const internet = 2;
const stream = 1;
const packets = 17;
const datagrams = 2;
const closeOnExec = 0o2000000;
const withoutWaiting = 0o4000;
const socketLevel = 1;
const attachFilter = 26;
const receiveBufferForce = 33;
const timestamps = 35;
const ipProtocol = 0x0800;
const inProgress = 115;
const receiveBufferBytes = 4 * 1024 * 1024;

const failed = (action: string): ConsortError =>
  new ConsortError("driver_failed", `Cannot ${action}: errno ${koffi.errno()}`);

/** Makes a socket in the namespace of that path; closed again when `prepare` throws. */
function socketIn(netns: string, family: number, type: number, prepare: (fd: number) => void): number {
  const home = openSync("/proc/thread-self/ns/net", "r");
  try {
    const namespace = openSync(netns, "r");
    try {
      return inNamespace(home, namespace, () => {
        const fd: number = socketCall(family, type | closeOnExec | withoutWaiting, 0);
        if (fd < 0) throw failed(`open a socket in ${netns}`);
        try {
          prepare(fd);
        } catch (cause) {
          closeSync(fd);
          throw cause;
        }
        return fd;
      });
    } finally {
      closeSync(namespace);
    }
  } catch (cause) {
    if (cause instanceof ConsortError) throw cause;
    throw new ConsortError("driver_failed", `Cannot look into ${netns}: it is not there`, { cause });
  } finally {
    closeSync(home);
  }
}

/**
 * A socket that gets a copy of every UDP packet to that port which arrives in the namespace, from its IPv4 header on,
 * with the time it came. Does not block. The caller closes it.
 */
export function openPacketTap(netns: string, udpPort: number): number {
  return socketIn(netns, packets, datagrams, (fd) => {
    const program = udpTo(udpPort);
    const filter = Buffer.alloc(16);
    filter.writeUInt16LE(program.length / 8, 0);
    filter.writeBigUInt64LE(koffi.address(program), 8);
    set(fd, attachFilter, filter);
    set(fd, timestamps, Buffer.from([1, 0, 0, 0]));
    const room = Buffer.alloc(4);
    room.writeUInt32LE(receiveBufferBytes);
    setsockoptCall(fd, socketLevel, receiveBufferForce, room, 4);
    // Only now of any protocol, so that no packet came in past the filter. Interface 0: all of them.
    const address = Buffer.alloc(20);
    address.writeUInt16LE(packets, 0);
    address.writeUInt16BE(ipProtocol, 2);
    if (bindCall(fd, address, address.length) !== 0) throw failed("watch packets");
  });
}

/** A TCP socket on its way to that address, from inside the namespace. The caller closes it. */
export function connectFrom(netns: string, address: string, port: number): number {
  return socketIn(netns, internet, stream, (fd) => {
    const to = Buffer.alloc(16);
    to.writeUInt16LE(internet, 0);
    to.writeUInt16BE(port, 2);
    to.set(address.split(".").map(Number), 4);
    if (connectCall(fd, to, to.length) !== 0 && koffi.errno() !== inProgress)
      throw failed(`connect to ${address}:${port}`);
  });
}

function set(fd: number, option: number, value: Buffer): void {
  if (setsockoptCall(fd, socketLevel, option, value, value.length) !== 0) throw failed("set up a socket");
}

/** Classic BPF, which begins at the IPv4 header: unfragmented UDP to this port, on its way in. */
function udpTo(port: number): Buffer {
  const [loadWord, loadHalf, loadByte] = [0x20, 0x28, 0x30];
  const loadHalfIndexed = 0x48;
  const headerLengthToIndex = 0xb1;
  const [ifEqual, ifAnyBit, accept] = [0x15, 0x45, 0x06];
  const packetType = 0xffff_f004;
  const outgoing = 4;
  const udp = 17;
  const steps: readonly (readonly [code: number, ifTrue: number, ifFalse: number, value: number])[] = [
    [loadWord, 0, 0, packetType],
    [ifEqual, 8, 0, outgoing],
    [loadByte, 0, 0, 9],
    [ifEqual, 0, 6, udp],
    [loadHalf, 0, 0, 6],
    [ifAnyBit, 4, 0, 0x1fff],
    [headerLengthToIndex, 0, 0, 0],
    [loadHalfIndexed, 0, 0, 2],
    [ifEqual, 0, 1, port],
    [accept, 0, 0, 0xffff],
    [accept, 0, 0, 0],
  ];
  const program = Buffer.alloc(steps.length * 8);
  steps.forEach(([code, ifTrue, ifFalse, value], index) => {
    program.writeUInt16LE(code, index * 8);
    program.writeUInt8(ifTrue, index * 8 + 2);
    program.writeUInt8(ifFalse, index * 8 + 3);
    program.writeUInt32LE(value, index * 8 + 4);
  });
  return program;
}
