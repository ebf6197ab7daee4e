import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** A program that uses all it gets. */
export const busy: readonly string[] = ["perl", "-e", "1 while 1"];

/** One that is not in any machine; ends with the test. */
export function startOutside(command: readonly string[]): ChildProcess & { readonly pid: number } {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: "ignore" });
  if (child.pid === undefined) throw new Error(`${program} did not start`);
  return Object.assign(child, { pid: child.pid });
}

/** CPU time of a process so far, in ms; the kernel counts in hundredths of a second. */
export const cpuMs = (pid: number): number => cpuMsOf(`/proc/${pid}/stat`);

/** The same of a process or thread, from its file. */
export function cpuMsOf(file: string): number {
  const stat = readFileSync(file, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** How much CPU time each has used while all together used `totalMs`. */
export async function sharesOver(totalMs: number, pids: readonly number[]): Promise<readonly number[]> {
  const before = pids.map(cpuMs);
  const used = (): number[] => pids.map((pid, index) => cpuMs(pid) - (before[index] ?? 0));
  await until(`${totalMs} ms of CPU time`, () => used().reduce((sum, ms) => sum + ms, 0) >= totalMs);
  return used();
}

/** "T": stopped; control groups are frozen without that. */
export function stateOf(pid: number): string | undefined {
  if (!existsSync(`/proc/${pid}/stat`)) return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2)[0];
}

export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 12_000; tries += 1) {
    if (holds()) return;
    await pause(10);
  }
  throw new Error(`waited in vain for ${what}`);
}
