import { closeSync, ftruncateSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";
import { openOwnFile } from "../own-files.ts";

/** The system calls of scheduling that Node does not offer. All are synchronous and take microseconds. */
const libc = koffi.load("libc.so.6");
const mmapCall = libc.func("void *mmap(void *, unsigned long, int, int, int, long)");
const munmapCall = libc.func("int munmap(void *, unsigned long)");
const writeCall = libc.func("long write(int, void *, unsigned long)");
const readCall = libc.func("long pread(int, void *, unsigned long, long)");
const schedulerCall = libc.func("int sched_setscheduler(int, int, void *)");
const killCall = libc.func("int kill(int, int)");
const schedulerOf = libc.func("int sched_getscheduler(int)");
const setProcessorsCall = libc.func("int sched_setaffinity(int, unsigned long, void *)");
const processorsCall = libc.func("int sched_getaffinity(int, unsigned long, void *)");
const pidfdOpenCall = libc.func("long syscall(long, int, unsigned int)");
const pidfdSignalCall = libc.func("long syscall(long, int, int, void *, unsigned int)");
const attributeCall = libc.func("long syscall(long, int, void *, unsigned int)");

/** Of both architectures, as they are younger than the common table. */
const pidfdSendSignal = 424;
const pidfdOpen = 434;
const setAttributes = process.arch === "arm64" ? 274 : 314;

export const noSuchProcess = 3;
const systemLimit = 23;
const perProcessLimit = 24;
const readWrite = 3;
const shared = 1;
const policyNormal = 0;
const policyFifo = 1;
const policyRoundRobin = 2;
const policyDeadline = 6;
/** What such a thread starts is of normal priority. */
const resetOnFork = 0x40000000;
const resetOnForkFlag = 1n;
const attributesBytes = 48;
/** Of a set of processors: 1,024 of them. */
const processorsBytes = 128;

export const stopSignal = 19;
export const continueSignal = 18;

export type SharedMemory = { readonly buffer: ArrayBuffer; unmap(): void };

/**
 * A file of `bytes` bytes as memory that all who map it share; made, or made larger, where it is not.
 * @throws driver_failed for a file that is not ours alone
 */
export function mapShared(file: string, bytes: number): SharedMemory {
  const fd = openOwnFile(file);
  try {
    ftruncateSync(fd, bytes);
    const at: unknown = mmapCall(null, bytes, readWrite, shared, fd, 0);
    if (koffi.address(at) === 0xffff_ffff_ffff_ffffn) throw failed(`map ${file}`);
    return { buffer: koffi.view(at, bytes), unmap: () => void munmapCall(at, bytes) };
  } finally {
    closeSync(fd);
  }
}

/** No more files may be open. */
export const tooManyOpen = -2;

/**
 * A handle that never means another process that got its number; undefined: there is none of that number; or
 * `tooManyOpen`.
 */
export function openProcess(pid: number): number | undefined {
  const fd = Number(pidfdOpenCall(pidfdOpen, pid, 0));
  if (fd >= 0) return fd;
  const errno = koffi.errno();
  return errno === perProcessLimit || errno === systemLimit ? tooManyOpen : undefined;
}

/** By its number alone. */
export function signalNumber(pid: number, signal: number): boolean {
  return killCall(pid, signal) === 0;
}

/** False: that process is gone. */
export function signalProcess(fd: number, signal: number): boolean {
  return Number(pidfdSignalCall(pidfdSendSignal, fd, signal, null, 0)) === 0;
}

/** One write, without the exception `writeSync` makes of a group that is gone. */
export function writeBytes(fd: number, bytes: Uint8Array): boolean {
  return Number(writeCall(fd, bytes, bytes.length)) === bytes.length;
}

/** From its beginning; how many bytes. Negative: it cannot be read. */
export function readBytes(fd: number, bytes: Uint8Array): number {
  return Number(readCall(fd, bytes, bytes.length, 0));
}

/** A thread, the calling one, before all others of normal priority. False: the kernel refuses. */
export function becomeRealTime(priority: number, thread = 0): boolean {
  const parameter = Buffer.alloc(4);
  parameter.writeInt32LE(priority);
  return schedulerCall(thread, policyFifo | resetOnFork, parameter) === 0;
}

const turnsPriority = Buffer.from(Int32Array.of(1).buffer);
const noPriority = Buffer.alloc(4);

/**
 * Before all ordinary threads from now on, in turns with others of its kind, but after everything else of real-time
 * priority; what it starts is ordinary. False: the kernel refuses.
 */
export function takeTurns(thread: number): boolean {
  return schedulerCall(thread, policyRoundRobin | resetOnFork, turnsPriority) === 0;
}

export function isTakingTurns(thread: number): boolean {
  return schedulerOf(thread) === (policyRoundRobin | resetOnFork);
}

/** Of the nice value it had. */
export function becomeOrdinary(thread: number): void {
  schedulerCall(thread, policyNormal, noPriority);
}

/** The processors a thread may run on; undefined: it is gone. 0: the calling one. */
export function processorsOf(thread: number): readonly number[] | undefined {
  const mask = Buffer.alloc(processorsBytes);
  if (Number(processorsCall(thread, processorsBytes, mask)) < 0) return undefined;
  return Array.from({ length: 8 * processorsBytes }, (_each, at) => at).filter(
    (at) => ((mask[at >> 3] ?? 0) & (1 << (at & 7))) !== 0,
  );
}

/** False: the kernel refuses, as where its control group may not use any of them. */
export function setProcessors(thread: number, processors: readonly number[]): boolean {
  const mask = Buffer.alloc(processorsBytes);
  for (const at of processors) mask[at >> 3] = (mask[at >> 3] ?? 0) | (1 << (at & 7));
  return setProcessorsCall(thread, processorsBytes, mask) === 0;
}

/** Wherever its control group may. */
export function setAnyProcessor(thread: number): void {
  setProcessorsCall(thread, processorsBytes, Buffer.alloc(processorsBytes, 0xff));
}

/**
 * Does something short without being interrupted by ordinary threads, where that is allowed: each call of it may let
 * others run that come before the caller.
 */
export function undisturbed(work: () => void): void {
  const isRaised = schedulerOf(0) === policyNormal && becomeRealTime(1);
  try {
    work();
  } finally {
    if (isRaised) setAttributesOf(0, policyNormal, 0n, { runtimeUs: 0, periodUs: 0 }, getPriority());
  }
}

export type DeadlineTimes = { readonly runtimeUs: number; readonly periodUs: number };

/**
 * The errno, 0 when it worked. `thread` is a thread's id; what it starts is of normal priority. Nothing is asked for one
 * that is ending: Linux (6.18) gives it deadlines, and takes nothing of that back until it counts all deadlines anew.
 */
export function setDeadline(thread: number, times: DeadlineTimes): number {
  return isEnding(thread) ? noSuchProcess : setAttributesOf(thread, policyDeadline, resetOnForkFlag, times);
}

/** It has given its memory back, which is about the first that one that ends does. */
function isEnding(thread: number): boolean {
  try {
    return readFileSync(`/proc/${thread}/statm`, "latin1").startsWith("0 ");
  } catch {
    return true;
  }
}

export function setNormal(thread: number): void {
  setAttributesOf(thread, policyNormal, 0n, { runtimeUs: 0, periodUs: 0 });
}

export function hasDeadlines(thread: number): boolean {
  return schedulerOf(thread) === (policyDeadline | resetOnFork);
}

/**
 * How long an ordinary thread runs before another of its like has its turn, in place of the kernel's usual few
 * milliseconds, which `0` is; the shorter, the sooner it runs when it is woken. Kernels before 6.12 do not know of it.
 */
export function setSlice(thread: number, nice: number, sliceUs: number): void {
  if (schedulerOf(thread) !== policyNormal) return;
  setAttributesOf(thread, policyNormal, 0n, { runtimeUs: sliceUs, periodUs: 0 }, nice);
}

/** struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period. */
function setAttributesOf(
  thread: number,
  policy: number,
  flags: bigint,
  times: DeadlineTimes,
  nice = 0,
): number {
  const attributes = Buffer.alloc(attributesBytes);
  attributes.writeUInt32LE(attributesBytes, 0);
  attributes.writeUInt32LE(policy, 4);
  attributes.writeBigUInt64LE(flags, 8);
  attributes.writeInt32LE(nice, 16);
  attributes.writeBigUInt64LE(BigInt(times.runtimeUs) * 1000n, 24);
  attributes.writeBigUInt64LE(BigInt(times.periodUs) * 1000n, 32);
  attributes.writeBigUInt64LE(BigInt(times.periodUs) * 1000n, 40);
  return Number(attributeCall(setAttributes, thread, attributes, 0)) === 0 ? 0 : koffi.errno();
}

function failed(action: string): ConsortError {
  return new ConsortError("driver_failed", `Cannot ${action}: errno ${koffi.errno()}`);
}
