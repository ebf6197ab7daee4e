import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { netnsPath } from "#lab/names.ts";

/** A process and when it began (clock ticks since boot), which together are never used twice. */
export type ProcessMark = { readonly pid: number; readonly startTime: number };

export function isProcessMark(value: unknown): value is ProcessMark {
  return (
    typeof value === "object" &&
    value !== null &&
    "pid" in value &&
    typeof value.pid === "number" &&
    "startTime" in value &&
    typeof value.startTime === "number"
  );
}

/** Undefined when there is no such process, or only what its parent has not collected yet. */
export function startTimeOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may contain anything; fields are counted from behind it: state is the third of all.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}

/** Stopped by a signal; undefined when it is gone. */
export function isPaused(pid: number): boolean | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  } catch {
    return undefined;
  }
}

/** At about 20 microseconds each. */
const becomingReadsMax = 500;

export const isAlive = ({ pid, startTime }: ProcessMark): boolean => startTimeOf(pid) === startTime;

/** Arguments of a process, the program first; empty when it is gone. */
export function commandOf(pid: number): string[] {
  for (let reads = 1; ; reads += 1) {
    const command = argumentsOf(pid);
    // Also a process that is just becoming another program has none, for far less than a millisecond.
    if (command.length > 0 || startTimeOf(pid) === undefined || reads === becomingReadsMax) return command;
  }
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** Processes that live in any of these network namespaces. */
export function processesIn(netnsNames: readonly string[]): number[] {
  const inodes = new Set<string>();
  for (const name of netnsNames) {
    const inode = statSync(netnsPath(name), { throwIfNoEntry: false })?.ino;
    if (inode !== undefined) inodes.add(`net:[${inode}]`);
  }
  if (inodes.size === 0) return [];
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && inodes.has(netnsOf(pid)));
}

function netnsOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return "";
  }
}

/** SIGKILL; a process that is gone already is no error. */
export function killNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return;
    throw error;
  }
}
