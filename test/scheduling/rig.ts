import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { micros, millis } from "#base/units.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { isTakingTurns, processorsOf } from "#drivers/scheduling/kernel/calls.ts";
import type { CpuEnforcer, EnforcedMachine, JobGroup } from "#drivers/scheduling/port.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { word } from "#drivers/scheduling/table/memory.ts";
import { weightScale } from "#drivers/scheduling/weights.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { jsonLog } from "#drivers/system/log.ts";

export const clock = systemClock();
export const layout = machineLayout();
export const cgroups = systemCgroups(clock, layout);
export const log = jsonLog({ clock, fd: 2, level: "error" });
const never = new AbortController().signal;
/** Long enough that single slots of other programs do not matter. */
const windowMs = millis(1500);
/** Quotas and deadlines begin anew with their next period. */
const settleMs = millis(100);
const lookMs = millis(5);

/** One that this process may run on. */
export const anyProcessor = processorsOf(0)?.at(-1) ?? 0;

let count = 0;

type Machine = { readonly group: string; readonly processes: ChildProcess[] };

/** Machines of busy processes, each in a control group of its own; all below one that carries our mark. */
export class BusyMachines {
  readonly mark: string;
  readonly directory: string;
  readonly #asProcesses: boolean;
  readonly #machines = new Map<string, Machine>();

  /** `asProcesses`: their jobs are named by process, and in no group of ours. */
  constructor({ asProcesses = false } = {}) {
    count += 1;
    this.mark = `consort-test-scheduling-${process.pid}-${count}`;
    this.directory = join(mkdtempSync(join(tmpdir(), `${this.mark}-`)), "owner");
    this.#asProcesses = asProcesses;
  }

  cgroup(machine: string): string | undefined {
    return this.#asProcesses ? undefined : this.#machine(machine).group;
  }

  job(name: string): JobGroup {
    const machine = this.#machine(name);
    const busy = spawn("perl", ["-e", "1 while 1"], { stdio: "ignore" });
    machine.processes.push(busy);
    const pid = busy.pid ?? 0;
    if (this.#asProcesses) return { kind: "process", pid, startTime: readStartTime(pid) ?? "" };
    const path = `${machine.group}/job-${machine.processes.length}`;
    const group = cgroups.open(path);
    group.create();
    group.attach(pid);
    group.close();
    return { kind: "cgroup", path };
  }

  /** Of a processor, over a while from now on. */
  async share(name: string): Promise<number> {
    await clock.sleep(settleMs, never);
    const before = this.#usedMs(name);
    const from = clock.monotonic();
    await clock.sleep(windowMs, never);
    return (this.#usedMs(name) - before) / (clock.monotonic() - from);
  }

  readonly usualWeight = weightScale(layout)?.usual;

  /** Of the group all machines are below. */
  weight(): number | undefined {
    const scale = weightScale(layout);
    return scale && Number(readFileSync(join(scale.tree, this.mark, scale.file), "utf8"));
  }

  pids(name: string): readonly number[] {
    return this.#machine(name).processes.map((busy) => busy.pid ?? 0);
  }

  states(name: string): readonly string[] {
    return this.pids(name).map((pid) => statOf(pid)[0] ?? "gone");
  }

  /** By a signal, or with its group. */
  isStopped(name: string): boolean {
    const paths = this.#groups(name);
    return this.states(name).some((state) => state === "T") || paths.some(isFrozen);
  }

  /** Neither stopped nor frozen nor limited, nor of another class than ordinary, nor kept on one processor. */
  isFree(name: string): boolean {
    const isHeld =
      this.isStopped(name) || this.#groups(name).some((path) => isLimited(path) || hasRoom(path));
    return !isHeld && this.#processes(name).every((pid) => classOf(pid) === ordinary && isAnywhere(pid));
  }

  /** Of one processor, that the machine's group gets at most; undefined: it is not limited. */
  limit(name: string): number | undefined {
    return limitOf(this.#machine(name).group);
  }

  /** All its processes take turns before ordinary ones, and what they start does not by itself. */
  comesFirst(name: string): boolean {
    return this.#processes(name).every(isTakingTurns);
  }

  /** Those it was made of, and what they have started. */
  #processes(name: string): readonly number[] {
    const inGroups = this.#groups(name).flatMap((path) => cgroups.open(path).pids());
    return [...new Set([...this.pids(name), ...inGroups])];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { processes } of this.#machines.values()) {
      for (const busy of processes) {
        if (busy.exitCode !== null || busy.signalCode !== null) continue;
        const exit = once(busy, "exit");
        busy.kill("SIGKILL");
        // A frozen process of version 1 dies when it is thawed.
        if (layout.v1.freezer !== undefined) cgroups.open(this.mark).killAll();
        await exit;
      }
    }
    await cgroups.open(this.mark).remove(never);
    rmSync(join(this.directory, ".."), { recursive: true, force: true });
  }

  #machine(name: string): Machine {
    const known = this.#machines.get(name);
    if (known !== undefined) return known;
    const made = { group: `${this.mark}/${name}`, processes: [] };
    if (!this.#asProcesses) cgroups.open(made.group).create();
    this.#machines.set(name, made);
    return made;
  }

  #groups(name: string): readonly string[] {
    const { group } = this.#machine(name);
    if (this.#asProcesses || !cgroups.open(group).exists()) return [];
    return [group, ...subgroups(group).map((child) => `${group}/${child}`)];
  }

  #usedMs(name: string): number {
    return this.pids(name).reduce(
      (sum, pid) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6,
      0,
    );
  }
}

function subgroups(path: string): readonly string[] {
  return cgroups.open(path).children();
}

function isFrozen(path: string): boolean {
  return cgroups.open(path).isFrozen();
}

const isLimited = (path: string): boolean => limitOf(path) !== undefined;

function limitOf(path: string): number | undefined {
  const v1 = layout.v1.cpu;
  const [quota = NaN, period = NaN] =
    v1 === undefined
      ? readFileSync(join(layout.v2 ?? "", path, "cpu.max"), "utf8")
          .split(" ")
          .map(Number)
      : ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((file) =>
          Number(readFileSync(join(v1, path, file), "utf8")),
        );
  return quota > 0 ? quota / period : undefined;
}

/** Of real-time priority, where the kernel rations that. */
function hasRoom(path: string): boolean {
  const file = join(layout.v1.cpu ?? "", path, "cpu.rt_runtime_us");
  return layout.v1.cpu !== undefined && existsSync(file) && Number(readFileSync(file, "utf8")) !== 0;
}

const isAnywhere = (pid: number): boolean => String(processorsOf(pid)) === String(processorsOf(0));

const ordinary = "0";

/** The scheduling policy of its first thread. */
function classOf(pid: number): string | undefined {
  return statOf(pid)[38];
}

/** What stands behind its name; nothing when it is gone. */
function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

/** Resolves when the dispatcher, where the back end has one, carries out what was last asked for. */
export async function settled(enforcer: CpuEnforcer): Promise<void> {
  if (!(enforcer instanceof TableEnforcer)) return;
  for (;;) {
    const header = enforcer.memory?.header;
    if (header === undefined) return;
    const begun = Atomics.load(header, word.begun);
    while (Atomics.load(header, word.begun) < begun + 2) await clock.sleep(lookMs, never);
    if (header[word.acknowledged] === header[word.generation]) return;
  }
}

/** A table of 10 ms slots in which each machine has one, in turn, on one processor, and others the rest of `length`. */
export function tableOf(machines: readonly EnforcedMachine[], length = machines.length): DispatchTable {
  return {
    quantumUs: micros(10_000),
    policy: "rate-monotonic",
    targets: machines.map(({ id }) => ({ machine: id, path: [] })),
    slots: [Int32Array.from({ length }, (_slot, at) => (at < machines.length ? at : -1))],
  };
}

/** Looks again and again. What never comes is for the test's own time limit. */
export async function until(what: () => boolean): Promise<void> {
  while (!what()) await clock.sleep(lookMs, never);
}

/** Everything that scheduling leaves on a machine while it runs. */
export function traces({ directory }: BusyMachines): readonly string[] {
  const file = existsSync(directory) ? tableFile(directory) : undefined;
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `${pid}: ${commandOf(pid)}`)
    .filter((line) => line.includes(directory) || (file !== undefined && line.includes(file)));
  const files = readdirSync("/dev/shm").filter((name) => file?.endsWith(name) ?? false);
  return [...processes, ...files, ...(existsSync(directory) ? [directory] : [])];
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
