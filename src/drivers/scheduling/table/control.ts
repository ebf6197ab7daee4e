import { closeSync, openSync } from "node:fs";
import { continueSignal, openProcess, signalProcess, stopSignal, writeBytes } from "../kernel/calls.ts";
import type { JobControl } from "./loop.ts";
import { jobKind } from "./memory.ts";
import type { TableMemory } from "./memory.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";

/** What stops and continues a group, per kind. v1's word is longer; a frozen group of v2 can still be killed. */
const words = {
  [jobKind.freezerV1]: { stop: Buffer.from("FROZEN\n"), go: Buffer.from("THAWED\n") },
  [jobKind.freezerV2]: { stop: Buffer.from("1\n"), go: Buffer.from("0\n") },
} as const;
export const gone = -1;
const notYet = 0;

/**
 * Opens what a job is stopped and continued by: a file of its control group, or a handle of its process. `gone`: there
 * is no such group, or that process has ended.
 */
export function openJob(memory: TableMemory, job: number): number {
  if (memory.jobKinds[job] === jobKind.process) return openSameProcess(memory, job);
  try {
    return openSync(memory.jobName(job), "w");
  } catch {
    return gone;
  }
}

function openSameProcess(memory: TableMemory, job: number): number {
  const pid = memory.jobPids[job] ?? 0;
  const fd = openProcess(pid);
  if (fd === undefined) return gone;
  if (readStartTime(pid) === memory.jobStart(job)) return fd;
  closeSync(fd);
  return gone;
}

/** Stops or continues what `openJob` opened. False: it is gone. */
export function tellJob(memory: TableMemory, job: number, fd: number, go: boolean): boolean {
  const kind = memory.jobKinds[job];
  if (kind === jobKind.process) return signalProcess(fd, go ? continueSignal : stopSignal);
  const word = words[kind === jobKind.freezerV1 ? jobKind.freezerV1 : jobKind.freezerV2];
  return writeBytes(fd, go ? word.go : word.stop);
}

/** For whoever has it not open. */
export function continueJob(memory: TableMemory, job: number): void {
  const fd = openJob(memory, job);
  if (fd === gone) return;
  tellJob(memory, job, fd, true);
  closeSync(fd);
}

/** `fds` holds what `openJob` gave for each job, 0 before; threads share it. */
export function jobControl(memory: TableMemory, fds: Int32Array, release: (job: number) => void): JobControl {
  const tell = (job: number, go: boolean): boolean => {
    const fd = Atomics.load(fds, job);
    return fd > notYet && tellJob(memory, job, fd, go);
  };
  return {
    reachable: (job) => Atomics.load(fds, job) > notYet,
    stop: (job) => tell(job, false),
    go: (job) => tell(job, true),
    release,
  };
}
