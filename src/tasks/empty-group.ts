import type { Processes } from "#drivers/process/port.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

/** More often than any program could start others while it is being stopped. */
const roundsMax = 1000;

/** Moves all processes of a group, also those that they start meanwhile, to the groups of `home`, where they run on. */
export function emptyGroup(group: Cgroup, processes: Processes, home: readonly string[]): void {
  inRounds(group, () => group.pids().filter((pid) => move(pid, processes, home)).length);
}

/**
 * Moves all threads of a group for single threads to where their processes are. Of what they have started the first
 * threads go to `home` (files for threads), and the others after them.
 */
export function emptyThreadGroup(group: Cgroup, processes: Processes, home: readonly string[]): void {
  inRounds(group, () => {
    const threads = group.threads();
    for (const tid of threads) {
      const process = processes.identifyThread(tid)?.process;
      processes.joinThreads([tid], process === undefined ? home : processes.threadFiles(process));
    }
    return threads.length;
  });
}

/** Until a round has moved nothing. */
function inRounds(group: Cgroup, round: () => number): void {
  if (!group.exists()) return;
  // What stands still starts nothing; it goes on as soon as it has left.
  group.freeze();
  try {
    for (let rounds = 0; rounds < roundsMax; rounds += 1) if (round() === 0) return;
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
