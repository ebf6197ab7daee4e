import { openSync } from "node:fs";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";

/**
 * The few system calls that Node does not offer. All are synchronous and short; `sendAsync` is for requests that
 * the kernel answers slowly (it waits for all CPUs before a link is gone) and would hold up the event loop.
 */
const libc = koffi.load("libc.so.6");
const socketCall = libc.func("int socket(int, int, int)");
const bindCall = libc.func("int bind(int, void *, uint32_t)");
const sendCall = libc.func("int64_t send(int, void *, size_t, int)");
const recvCall = libc.func("int64_t recv(int, void *, size_t, int)");
const setsockoptCall = libc.func("int setsockopt(int, int, int, void *, uint32_t)");
const unshareCall = libc.func("int unshare(int)");
const setnsCall = libc.func("int setns(int, int)");
const ioctlCall = libc.func("int ioctl(int, unsigned long, void *)");

const fcntlCall = libc.func("int fcntl(int, int, int)");

const setDescriptorFlags = 2;
const netlinkFamily = 16;
const rawSocket = 3;
const closeOnExec = 0o2000000;
const socketLevel = 1;
const receiveBufferForce = 33;
const netlinkLevel = 270;
const optionCapAck = 10;
const optionExtendedAck = 11;
const networkNamespace = 0x40000000;
const linkGroup = 1;
const withoutWaiting = 0x40;
const tryAgain = 11;
const drained = Buffer.alloc(64);
const receiveBufferBytes = 4 * 1024 * 1024;

function failed(action: string): ConsortError {
  return new ConsortError("driver_failed", `Cannot ${action}: errno ${koffi.errno()}`);
}

/** A netlink socket in the network namespace of the calling thread. The caller closes it. */
export function openNetlink(protocol: number): number {
  const fd: number = socketCall(netlinkFamily, rawSocket | closeOnExec, protocol);
  if (fd < 0) throw failed("open a netlink socket");
  const on = Buffer.from([1, 0, 0, 0]);
  const room = Buffer.alloc(4);
  room.writeUInt32LE(receiveBufferBytes);
  setsockoptCall(fd, socketLevel, receiveBufferForce, room, 4);
  setsockoptCall(fd, netlinkLevel, optionCapAck, on, 4);
  setsockoptCall(fd, netlinkLevel, optionExtendedAck, on, 4);
  return fd;
}

/** A socket that is told of every change to a link of this namespace. The caller closes it. */
export function openLinkWatch(): number {
  const fd = openNetlink(0);
  const address = Buffer.alloc(12);
  address.writeUInt16LE(netlinkFamily, 0);
  address.writeUInt32LE(linkGroup, 8);
  if (bindCall(fd, address, address.length) !== 0) throw failed("watch the links");
  return fd;
}

/** Whether anything was told since the last call; forgets it. Losing messages counts as something. */
export function drain(fd: number): boolean {
  let any = false;
  for (;;) {
    const length: number = recvCall(fd, drained, drained.length, withoutWaiting);
    if (length < 0 && koffi.errno() === tryAgain) return any;
    any = true;
  }
}

export function sendSync(fd: number, bytes: Buffer): void {
  const sent: number = sendCall(fd, bytes, bytes.length, 0);
  if (sent !== bytes.length) throw failed("send to the kernel");
}

/** On a thread of the pool; the event loop goes on. */
export function sendAsync(fd: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    sendCall.async(fd, bytes, bytes.length, 0, (cause: Error | null, sent: number) => {
      if (cause === null && sent === bytes.length) resolve();
      else reject(new ConsortError("driver_failed", "Cannot send to the kernel: the call failed", { cause }));
    });
  });
}

/** Blocks until a datagram is there; for netlink it is, once the request was sent. */
export function receiveSync(fd: number, into: Buffer): Buffer {
  const length: number = recvCall(fd, into, into.length, 0);
  if (length < 0) throw failed("receive from the kernel");
  return into.subarray(0, length);
}

/**
 * Runs `work` with the calling thread inside another network namespace. `work` must be synchronous: nothing else
 * of this process may run in between. If the way back fails the process must not go on, and does not.
 */
export function inNamespace<Result>(home: number, namespace: number, work: () => Result): Result {
  if (setnsCall(namespace, networkNamespace) !== 0) throw failed("enter a network namespace");
  try {
    return work();
  } finally {
    if (setnsCall(home, networkNamespace) !== 0) process.abort();
  }
}

/**
 * A new network namespace, open. It lasts as long as something runs in it or has it open; the caller closes it. `home`
 * is the calling thread's own.
 */
export function newNetworkNamespace(home: number): number {
  if (unshareCall(networkNamespace) !== 0) throw failed("make a network namespace");
  try {
    return openSync("/proc/thread-self/ns/net", "r");
  } finally {
    if (setnsCall(home, networkNamespace) !== 0) process.abort();
  }
}

/** ioctl with a buffer; returns the errno, 0 when it worked. */
export function ioctl(fd: number, request: number, argument: Buffer): number {
  return ioctlCall(fd, request, argument) === 0 ? 0 : koffi.errno();
}

/** No program started from here on inherits it. What is not open is left alone. */
export function keepFromPrograms(fd: number): void {
  fcntlCall(fd, setDescriptorFlags, 1);
}

/** The address of a buffer, to be put into another one; keep the buffer referenced while the kernel uses it. */
export function addressOf(buffer: Buffer): bigint {
  return koffi.address(buffer);
}
