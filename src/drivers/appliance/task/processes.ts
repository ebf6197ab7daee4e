import { readFileSync, readlinkSync } from "node:fs";

/** When a process started, in the kernel's ticks since boot, as text; undefined if there is none of that number, or only a zombie. */
export function readStartTime(pid: number): string | undefined {
  try {
    return startTimeOf(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return undefined;
  }
}

/** From the text of /proc/PID/stat. The name, in parentheses, may itself hold spaces and parentheses. */
export function startTimeOf(stat: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

/** Stops those of `pids` that live in the same pid namespace as `init`, but not `init` itself: that one can continue them. */
export function stopProcesses(pids: readonly number[], init: number): void {
  const namespace = pidNamespace(init);
  for (const pid of pids) {
    if (pid === init || namespace === undefined || pidNamespace(pid) !== namespace) continue;
    try {
      process.kill(pid, "SIGSTOP");
    } catch {
      // It has ended meanwhile.
    }
  }
}

function pidNamespace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}
