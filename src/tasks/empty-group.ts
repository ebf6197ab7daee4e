import type { Processes } from "#drivers/process/port.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

/** More often than any program could start others while it is being stopped. */
const roundsMax = 1000;

/** Moves all processes of a group, also those that they start meanwhile, to the groups of `home`, where they run on. */
export function emptyGroup(group: Cgroup, processes: Processes, home: readonly string[]): void {
  if (!group.exists()) return;
  // What stands still starts nothing; it goes on as soon as it has left.
  group.freeze();
  try {
    for (let round = 0; round < roundsMax; round += 1) {
      let moved = 0;
      for (const pid of group.pids()) if (move(pid, processes, home)) moved += 1;
      if (moved === 0) return;
    }
  } finally {
    group.thaw();
  }
}

/** False: it has ended. */
function move(pid: number, processes: Processes, home: readonly string[]): boolean {
  const identity = processes.identify(pid);
  if (identity === undefined) return false;
  try {
    processes.join(identity, home);
    return true;
  } catch (cause) {
    if (processes.isRunning(identity)) throw cause;
    return false;
  }
}
