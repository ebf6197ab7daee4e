import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { messageOf } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { command, realTime, word } from "./memory.ts";
import type { TableMemory } from "./memory.ts";
import { hangsAfterMs } from "./watchdog.ts";

const program = fileURLToPath(new URL("dispatcher.worker.ts", import.meta.url));
/**
 * What it makes of garbage it removes itself: other threads, which it would have to wait for, are not always let run.
 */
const ofNode = ["--single-threaded-gc"];
const lookEveryMs = 100;
const endMsMax = 3000;
const endLookMs = 2;
const readyLookMs = 5;
const startMsMax = 60_000;
/** Between two starts, should one after the other fail. */
const startPauseMs = 1000;

export type DispatcherOptions = {
  readonly memory: TableMemory;
  readonly file: string;
  readonly directory: string;
  /** cgroup.procs of the root of the CPU hierarchy, where real-time priority is not rationed; absent: no need to. */
  readonly cpuRootProcs: string | undefined;
  readonly log: Log;
  /** It dispatches. */
  readonly onUp: () => void;
  /** It is dead: whatever it left stopped is to be continued before another one is started. */
  readonly onDeath: () => void;
  /** What it shares with its owner has been removed by somebody. */
  readonly onLost: () => void;
};

/** The owner's side of the dispatcher's life: starts it, finds one that runs, notices its end, starts another. */
export class DispatcherProcess {
  readonly #options: DispatcherOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #beat = 0;
  #beatAt = performance.now();
  #startedAt = Number.NEGATIVE_INFINITY;
  #told = false;
  #up = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** One runs, whoever started it. */
  get isThere(): boolean {
    return this.#running();
  }

  /** From now on there is one. */
  ensure(): void {
    if (this.#timer !== undefined) return;
    this.#beatAt = performance.now();
    this.#beat = Atomics.load(this.#options.memory.header, word.heartbeat);
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
    this.#timer.unref();
    if (!this.#running()) this.#start();
  }

  /** Resolves when what was published last is in effect, or nobody is there to carry it out. */
  async ready(): Promise<void> {
    const { header } = this.#options.memory;
    const wanted = Atomics.load(header, word.generation);
    while (this.#timer !== undefined && Atomics.load(header, word.acknowledged) < wanted) {
      await pause(readyLookMs);
    }
  }

  /** It is no longer ours: whatever it holds is let go. */
  forget(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#kill();
    this.#options.onDeath();
  }

  /** Jobs have come or gone. One that is not up yet looks for itself. */
  poke(): void {
    const { pid } = this.#options.memory.dispatcher();
    if (pid === 0 || !this.#running()) return;
    signal(pid, "SIGUSR2");
  }

  /** Continues all, and is gone with its watchdog when this resolves. */
  async end(): Promise<void> {
    const { memory } = this.#options;
    clearInterval(this.#timer);
    this.#timer = undefined;
    Atomics.store(memory.header, word.command, command.end);
    // One that has not begun yet may have missed the word.
    const deadline = performance.now() + endMsMax;
    const watchdog = Atomics.load(memory.header, word.watchdogPid);
    while (this.#running() && performance.now() < deadline) await pause(endLookMs);
    this.#kill();
    while (isWatchdog(watchdog) && performance.now() < deadline) await pause(endLookMs);
    if (isWatchdog(watchdog)) signal(watchdog, "SIGKILL");
    this.#options.onDeath();
  }

  #running(): boolean {
    if (this.#child !== undefined) return this.#child.exitCode === null && this.#child.signalCode === null;
    const { pid, startTime } = this.#options.memory.dispatcher();
    return pid !== 0 && readStartTime(pid) === startTime;
  }

  #look(): void {
    const { file, directory, onLost } = this.#options;
    if (!existsSync(file) || !existsSync(directory)) {
      onLost();
      return;
    }
    this.#tell();
    const hangs = this.#hangs();
    if (this.#running() && !hangs) return;
    if (this.#up) {
      this.#up = false;
      this.#options.onDeath();
    }
    if (performance.now() - this.#startedAt < startPauseMs) return;
    this.#options.log.warn(
      "The dispatcher is gone or hangs: what it had stopped goes on, and another one is started",
      { hangs },
    );
    this.#kill();
    this.#start();
  }

  /** The watchdog is quicker where there is one. */
  #hangs(): boolean {
    const beat = Atomics.load(this.#options.memory.header, word.heartbeat);
    const now = performance.now();
    if (beat !== this.#beat) {
      this.#beatAt = now;
      if (!this.#up) {
        this.#up = true;
        this.#options.onUp();
      }
    }
    this.#beat = beat;
    return now - this.#beatAt > 2 * hangsAfterMs;
  }

  #tell(): void {
    const granted = Atomics.load(this.#options.memory.header, word.realTime);
    if (this.#told || granted !== realTime.refused) return;
    this.#told = true;
    this.#options.log.warn(
      "The dispatcher may not have real-time priority here: slots begin late when processors are busy",
    );
  }

  #kill(): void {
    if (!this.#running()) return;
    if (this.#child === undefined) signal(this.#options.memory.dispatcher().pid, "SIGKILL");
    else this.#child.kill("SIGKILL");
  }

  #start(): void {
    const { memory, file, directory, cpuRootProcs, onDeath } = this.#options;
    const watchdog = Atomics.load(memory.header, word.watchdogPid);
    // It has done its work, or onDeath does; later it would only disturb the next one's.
    if (isWatchdog(watchdog)) signal(watchdog, "SIGKILL");
    this.#up = false;
    this.#startedAt = performance.now();
    onDeath();
    memory.setDispatcher(0, "0");
    Atomics.store(memory.header, word.watchdogPid, 0);
    Atomics.store(memory.header, word.command, command.run);
    Atomics.store(memory.header, word.realTime, realTime.unknown);
    this.#beat = Atomics.load(memory.header, word.heartbeat);
    // Time to start, on a busy machine.
    this.#beatAt = performance.now() + startMsMax;
    const args = [...ofNode, program, file, directory, ...(cpuRootProcs === undefined ? [] : [cpuRootProcs])];
    this.#child = undefined;
    try {
      this.#child = launched(args, join(directory, "dispatcher.log"));
    } catch (error) {
      // As where no more processes may be started: it is tried again.
      this.#options.log.warn("The dispatcher cannot be started", { cause: messageOf(error) });
      return;
    }
  }
}

/** On its own: it outlives the process that starts it. */
function launched(args: readonly string[], logFile: string): ChildProcess {
  const output = openSync(logFile, "a", 0o600);
  try {
    const child = spawn(process.execPath, args, {
      detached: true,
      stdio: ["ignore", "ignore", output],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
      cwd: "/",
    });
    child.on("error", () => {});
    child.unref();
    hurry(child.pid);
    return child;
  } finally {
    closeSync(output);
  }
}

function isWatchdog(pid: number): boolean {
  if (pid <= 0 || readStartTime(pid) === undefined) return false;
  try {
    // As much of its name as the kernel keeps.
    return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("consort-watchdo");
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/** Until it has real-time priority of its own. */
function hurry(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, constants.priority.PRIORITY_HIGHEST);
  } catch {
    // It starts as any other.
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
