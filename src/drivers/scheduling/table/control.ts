import { closeSync, openSync, writeFileSync } from "node:fs";
import {
  continueSignal,
  openProcess,
  signalNumber,
  signalProcess,
  stopSignal,
  tooManyOpen,
  writeBytes,
} from "../kernel/calls.ts";
import type { JobControl } from "./loop.ts";
import { jobKind } from "./memory.ts";
import type { TableMemory } from "./memory.ts";
import { untold } from "./usages.ts";
import type { Usages } from "./usages.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";

/** What stops and continues a group, per kind. v1's word is longer; a frozen group of v2 can still be killed. */
const words = {
  [jobKind.freezerV1]: { stop: Buffer.from("FROZEN\n"), go: Buffer.from("THAWED\n") },
  [jobKind.freezerV2]: { stop: Buffer.from("1\n"), go: Buffer.from("0\n") },
} as const;
export const gone = -1;
const notYet = 0;
/** More jobs than files may be open: it is addressed anew each time, by its name or number. */
export const unkept = 0x7fff_ffff;

/**
 * Opens what a job is stopped and continued by: a file of its control group, or a handle of its process. `gone`: there
 * is no such group, or that process has ended. Or `unkept`, as all are whose file would have a number from `keptBelow` on.
 */
export function openJob(memory: TableMemory, job: number, keptBelow = unkept): number {
  const fd = openAnyJob(memory, job);
  if (fd < keptBelow || fd === unkept) return fd;
  closeSync(fd);
  return unkept;
}

function openAnyJob(memory: TableMemory, job: number): number {
  if (memory.jobKinds[job] === jobKind.process) return openSameProcess(memory, job);
  try {
    return openSync(memory.jobName(job), "w");
  } catch (error) {
    return error instanceof Error && "code" in error && isTooMany(error.code) ? unkept : gone;
  }
}

const isTooMany = (code: unknown): boolean => code === "EMFILE" || code === "ENFILE";

/** Whether the process is still the one that was meant; for those that are not kept open. */
export function isSameProcess(memory: TableMemory, job: number): boolean {
  return readStartTime(memory.jobPids[job] ?? 0) === memory.jobStart(job);
}

function openSameProcess(memory: TableMemory, job: number): number {
  const pid = memory.jobPids[job] ?? 0;
  const fd = openProcess(pid);
  if (fd === undefined) return gone;
  const isSame = isSameProcess(memory, job);
  if (fd === tooManyOpen) return isSame ? unkept : gone;
  if (isSame) return fd;
  closeSync(fd);
  return gone;
}

/** Stops or continues what `openJob` opened. False: it is gone. */
function tellJob(
  memory: TableMemory,
  job: number,
  fd: number,
  go: boolean,
  signals: Signals = realSignals,
): boolean {
  const kind = memory.jobKinds[job];
  if (kind === jobKind.process) {
    const signal = go ? signals.go : signals.stop;
    return fd === unkept ? signalNumber(memory.jobPids[job] ?? 0, signal) : signalProcess(fd, signal);
  }
  if (fd === unkept) return tellOnce(memory, job, go);
  const word = words[kind === jobKind.freezerV1 ? jobKind.freezerV1 : jobKind.freezerV2];
  return writeBytes(fd, go ? word.go : word.stop);
}

/**
 * It is told again what it has been told; but a process that runs is not continued again, as it may notice: the kernel
 * only looks whether it is there. One that is stopped never sees this: what continues it takes back what stops it.
 */
function touchJob(memory: TableMemory, job: number, fd: number, isStopped: boolean, signals: Signals): void {
  if (memory.jobKinds[job] === jobKind.process) signalProcess(fd, isStopped ? signals.stop : 0);
  else tellJob(memory, job, fd, !isStopped);
}

/** For whoever has it not open. */
export function continueJob(memory: TableMemory, job: number): void {
  const fd = openJob(memory, job);
  if (fd === gone) return;
  tellJob(memory, job, fd, true);
  if (fd !== unkept) closeSync(fd);
}

/** As `continueJob`, the other way. False: it is gone, or cannot be told. */
export function stopJob(memory: TableMemory, job: number): boolean {
  const fd = openJob(memory, job);
  if (fd === gone) return false;
  const isStopped = tellJob(memory, job, fd, false);
  if (fd !== unkept) closeSync(fd);
  return isStopped;
}

function tellOnce(memory: TableMemory, job: number, go: boolean): boolean {
  try {
    const word = words[memory.jobKinds[job] === jobKind.freezerV1 ? jobKind.freezerV1 : jobKind.freezerV2];
    writeFileSync(memory.jobName(job), go ? word.go : word.stop, { flag: "r+" });
    return true;
  } catch {
    return false;
  }
}

export type Signals = { readonly stop: number; readonly go: number };
const realSignals: Signals = { stop: stopSignal, go: continueSignal };

/** `usages`: absent, nobody asks. `signals`: absent, those that stop and continue. */
export type ControlOptions = {
  readonly release: (job: number) => void;
  readonly usages?: Usages;
  readonly signals?: Signals;
};

/** `fds` holds what `openJob` gave for each job, 0 before; threads share it. */
export function jobControl(
  memory: TableMemory,
  fds: Int32Array,
  { release, usages, signals = realSignals }: ControlOptions,
): JobControl {
  const tell = (job: number, go: boolean): boolean => {
    const fd = Atomics.load(fds, job);
    return fd > notYet && tellJob(memory, job, fd, go, signals);
  };
  return {
    reachable: (job) => Atomics.load(fds, job) > notYet,
    stop: (job) => tell(job, false),
    go: (job) => tell(job, true),
    touch: (job, isStopped) => {
      const fd = Atomics.load(fds, job);
      if (fd > notYet && fd !== unkept) touchJob(memory, job, fd, isStopped, signals);
    },
    usedUs: (job) => usages?.usedUs(job) ?? untold,
    release: (job) => {
      usages?.forget(job);
      release(job);
    },
  };
}
