/**
 * The process that carries out a dispatch table: `dispatcher.worker.ts FILE DIRECTORY [CPU_ROOT_PROCS]`. It outlives
 * the owner of the table, who finds it again by what stands in FILE; SIGUSR2 tells it that jobs have come or gone. It
 * ends when it is told to in FILE, or when the owner's DIRECTORY or an owner it does not outlive is gone, and then puts
 * back what that one had changed and removes both.
 *
 *   owner ──shared file──> dispatch thread (slots)          watchdog (perl): continues all when this process dies
 *     └──SIGUSR2──> this thread: opens and closes jobs ──pipe──> ┘
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, existsSync, readFileSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { gone, isSameProcess, openJob, unkept } from "./control.ts";
import type { DispatchThreadData } from "./dispatch-thread.ts";
import { filesToKeep } from "./files-to-keep.ts";
import { removeFrozenGroup } from "./frozen-group.ts";
import { TableMemory, capacity, command, jobKind, jobState, word } from "./memory.ts";
import { putBackRaised } from "./raised.ts";
import { watchdogArguments, watchdogStillMs } from "./watchdog.ts";

const watchdogProgram = fileURLToPath(new URL("watchdog.pl", import.meta.url));
const lookEveryMs = 1000;
const unkeptPerLook = 2000;
const [, , file = "", directory = "", cpuRootProcs] = process.argv;

/** Files of jobs have lower numbers: the thread, the watchdog and whoever follows that one need some, too. */
const keptBelow = filesToKeep(readFileSync("/proc/self/limits", "latin1"));
const memory = TableMemory.open(file);
const { header } = memory;
const fds = new Int32Array(new SharedArrayBuffer(4 * capacity.jobs));
const reached = new Int32Array(new SharedArrayBuffer(4));
let watchdog: ChildProcess | undefined;
let lastBeat = 0;
let lastBeatAt = performance.now();
let ending = false;
let nextUnkept = 0;

function openJobs(): void {
  const used = Atomics.load(header, word.jobsUsed);
  for (let job = 0; job < used; job += 1) {
    if (Atomics.load(memory.jobStates, job) === jobState.wanted && Atomics.load(fds, job) === 0) {
      Atomics.store(fds, job, openJob(memory, job, keptBelow));
    }
  }
  Atomics.add(reached, 0, 1);
}

/** The thread has continued it. */
function release(job: number): void {
  const fd = Atomics.exchange(fds, job, 0);
  if (fd > 0 && fd !== unkept) closeSync(fd);
  const found = Atomics.compareExchange(memory.jobStates, job, jobState.leaving, jobState.free);
  // It was wanted again in between.
  if (found === jobState.wanted) openJobs();
}

function startWatchdog(): void {
  if (ending) return;
  const child = spawn("perl", watchdogArguments(watchdogProgram, file, directory, process.pid), {
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  });
  watchdog = child;
  lastBeatAt = performance.now();
  Atomics.store(header, word.watchdogPid, child.pid ?? 0);
  child.stdin.on("error", () => {});
  child.once("error", () => setTimeout(startWatchdog, lookEveryMs));
  child.once("exit", () => {
    if (watchdog === child) startWatchdog();
  });
}

/** Some of those that are only known by their number, which another process may have got. */
function lookAtUnkept(): void {
  const used = Atomics.load(header, word.jobsUsed);
  for (let looks = 0; looks < Math.min(used, unkeptPerLook); looks += 1) {
    nextUnkept = (nextUnkept + 1) % used;
    if (Atomics.load(fds, nextUnkept) !== unkept || memory.jobKinds[nextUnkept] !== jobKind.process) continue;
    if (!isSameProcess(memory, nextUnkept)) Atomics.store(fds, nextUnkept, gone);
  }
}

/** A watchdog that is there but does not look is none. */
function look(): void {
  const beat = Atomics.load(header, word.watchdogHeartbeat);
  if (beat !== lastBeat) lastBeatAt = performance.now();
  lastBeat = beat;
  if (performance.now() - lastBeatAt > watchdogStillMs) watchdog?.kill("SIGKILL");
  lookAtUnkept();
  if (existsSync(file) && existsSync(directory) && isOwned()) return;
  putBackRaised(directory);
  rmSync(file, { force: true });
  rmSync(directory, { recursive: true, force: true });
  if (memory.owner().pid !== 0) removeEmpty(dirname(directory));
  Atomics.store(header, word.command, command.end);
}

/** Of an owner that is dead, unless it kept more in it. */
function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // There is more in it, or it is gone.
  }
}

function isOwned(): boolean {
  const { pid, startTime } = memory.owner();
  return pid === 0 || readStartTime(pid) === startTime;
}

// Real-time priority is not to be had in a CPU group of its own, where the kernel rations it by group.
if (cpuRootProcs !== undefined) {
  try {
    writeFileSync(cpuRootProcs, String(process.pid));
  } catch {
    // It is then refused, which the thread finds out.
  }
}
process.on("SIGUSR2", openJobs);
process.title = "consort-dispatcher";
memory.setDispatcher(process.pid, readStartTime(process.pid) ?? "0");
openJobs();
startWatchdog();
const shared: DispatchThreadData = { file, fds: fds.buffer, reached: reached.buffer };
const thread = new Worker(new URL("dispatch.worker.ts", import.meta.url), { workerData: shared });
thread.on("message", release);
const timer = setInterval(look, lookEveryMs);
thread.once("exit", () => {
  ending = true;
  removeFrozenGroup(machineLayout(), file);
  clearInterval(timer);
  watchdog?.stdin?.end();
  process.removeListener("SIGUSR2", openJobs);
});
