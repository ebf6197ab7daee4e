import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { milliCpu, millis } from "#base/units.ts";
import type { CpuSample } from "#control/profile/rhythm.ts";
import { Nftables } from "#drivers/network/kernel/nftables.ts";
import type { FinishedRun, ProgramRunner, RunRequest } from "#drivers/profile/port.ts";
import { TrafficCounter } from "#drivers/profile/traffic-counter.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import type { Subprocess } from "#drivers/system/port.ts";

type LocalRunnerParts = {
  readonly cgroups: Cgroups;
  readonly subprocess: Subprocess;
  readonly clock: Clock;
  /** Of this process: groups of others that live are left alone. */
  readonly pid: number;
};

/** Groups are "<parent>/<pid of who profiles>". They come first where others want the same processor. */
const parent = "consort-profile";
const weight = milliCpu(64_000);
/** Often enough to see a program's rhythm; a look costs some 0.003 ms. */
const sampleEveryMs = 2;
/** Of one run, after which only its end is looked at: four minutes. */
const samplesMax = 120_000;
const politeMs = 2000;
const lastWordsLength = 400;

/** Enters the groups itself, so that nothing of the program is counted elsewhere, and becomes it. */
const enter =
  'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n-1)); done; exec "$@"';
/** The shell's own words for what it could not start begin so, and are not for users. */
const shell = "consort-profile";
const notFound = 127;
const notExecutable = 126;
const notAllowed = 125;

/** Runs programs in a control group of their own, beside everything else on this machine. */
export class LocalRunner implements ProgramRunner {
  readonly #parts: LocalRunnerParts;
  readonly #path: string;
  readonly directory = process.cwd();
  #nftables: Nftables | undefined;
  #canCount = true;

  constructor(parts: LocalRunnerParts) {
    this.#parts = parts;
    this.#path = `${parent}/${parts.pid}`;
  }

  async run(request: RunRequest, signal: AbortSignal): Promise<FinishedRun> {
    signal.throwIfAborted();
    await this.#sweep(signal);
    const group = this.#parts.cgroups.open(this.#path);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#remove(group));
    group.create();
    group.setWeight(weight);
    const all = this.#parts.cgroups.open(parent);
    all.setWeight(weight);
    all.close();
    const counter = await this.#counter();
    if (counter !== undefined) undo.defer(() => counter.close());
    const measured = await this.#measure(group, request, signal);
    const traffic = await counter?.read(signal);
    return { ...measured, ...traffic };
  }

  async close(): Promise<void> {
    await this.#remove(this.#parts.cgroups.open(this.#path));
    this.#nftables?.close();
    this.#nftables = undefined;
    const all = this.#parts.cgroups.open(parent);
    if (all.exists() && all.children().length === 0) await all.remove(forever);
  }

  async #measure(group: Cgroup, request: RunRequest, signal: AbortSignal): Promise<FinishedRun> {
    const { clock } = this.#parts;
    const samples: CpuSample[] = [];
    let memoryPeakBytes = 0;
    const look = (): void => {
      const { cpuUs, memoryBytes } = group.usage();
      memoryPeakBytes = Math.max(memoryPeakBytes, memoryBytes);
      samples.push({ atMs: clock.monotonic(), cpuMs: cpuUs / 1000 });
    };
    look();
    const child = start(group, request.command);
    const words = lastWordsOf(child);
    let ended = false;
    const end = once(child, "exit").finally(() => (ended = true)) as Promise<
      [number | null, NodeJS.Signals | null]
    >;
    const overMs = clock.monotonic() + (request.forMs ?? Infinity);
    const over = (): boolean => clock.monotonic() >= overMs || signal.aborted;
    const timer = setInterval(() => samples.length < samplesMax && !ended && look(), sampleEveryMs);
    try {
      await Promise.race([end, this.#until(over, () => ended)]);
      const wasOver = !ended;
      look();
      if (wasOver) await this.#stop(group, end);
      signal.throwIfAborted();
      const [code, killedBy] = await end;
      const exitCode = code ?? 128 + (killedBy === null ? 0 : constants.signals[killedBy]);
      const lastWords = words();
      refuseUnstarted(request, wasOver ? 0 : exitCode, lastWords);
      return { samples, memoryPeakBytes, lastWords, ...(wasOver ? {} : { exitCode }) };
    } finally {
      clearInterval(timer);
    }
  }

  async #until(over: () => boolean, ended: () => boolean): Promise<void> {
    while (!over() && !ended()) await this.#parts.clock.sleep(millis(10), forever);
  }

  /** Politely first: programs write their last words, and what they started ends with them. */
  async #stop(group: Cgroup, end: Promise<unknown>): Promise<void> {
    for (const pid of group.pids()) {
      try {
        process.kill(pid, "SIGTERM");
      } catch {
        // It has ended meanwhile.
      }
    }
    await Promise.race([end, this.#parts.clock.sleep(millis(politeMs), forever)]);
    group.killAll();
    await end;
  }

  async #counter(): Promise<TrafficCounter | undefined> {
    if (!this.#canCount) return undefined;
    const { subprocess, pid } = this.#parts;
    try {
      this.#nftables ??= new Nftables();
    } catch {
      this.#canCount = false;
      return undefined;
    }
    const counter = await TrafficCounter.open({
      group: this.#path,
      table: `consort_profile_${pid}`,
      nftables: this.#nftables,
      subprocess,
    });
    this.#canCount = counter !== undefined;
    return counter;
  }

  /** What others left who were killed. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { cgroups, pid } = this.#parts;
    const all = cgroups.open(parent);
    if (!all.exists()) return;
    for (const name of all.children()) {
      if (Number(name) === pid || lives(Number(name))) continue;
      const left = cgroups.open(`${parent}/${name}`);
      left.killAll();
      await left.remove(signal);
    }
  }

  async #remove(group: Cgroup): Promise<void> {
    if (!group.exists()) return group.close();
    group.killAll();
    await group.remove(forever);
  }
}

const forever = new AbortController().signal;

function start(group: Cgroup, command: readonly string[]): ChildProcess {
  const files = group.procsFiles();
  return spawn("sh", ["-c", enter, shell, String(files.length), ...files, ...command], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}

function lastWordsOf(child: ChildProcess): () => string {
  let words = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-lastWordsLength);
  });
  return () => words.trim();
}

/** Refuses what never began; a program that ends by itself with one of these codes has. */
function refuseUnstarted(
  { command: [program = "nothing"] }: RunRequest,
  exitCode: number,
  lastWords: string,
): void {
  const words = new RegExp(`^${shell}: (?:line )?(?:\\d+: )?(?:exec: )?(.*)$`, "m").exec(lastWords)?.[1];
  if (words === undefined || ![notAllowed, notExecutable, notFound].includes(exitCode)) return;
  const why = exitCode === notAllowed ? words : words.slice(words.lastIndexOf(": ") + 2).toLowerCase();
  const where = exitCode === notFound && !program.includes("/") ? ", wanted a program in PATH" : "";
  throw new ConsortError("driver_failed", `Cannot run ${program}: ${why}${where}`);
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
