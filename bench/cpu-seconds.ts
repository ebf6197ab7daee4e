import { readFileSync } from "node:fs";

/** Of the kernel's clock, as /proc shows it. */
const ticksPerSecond = 100;

/** User and system time of a process so far, with those of its children that have ended. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // Fields are counted from behind the name in parentheses, which may hold anything: utime is the 14th of all.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / ticksPerSecond;
}
