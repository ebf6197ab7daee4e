import { milliCpu } from "#base/units.ts";
import type { Processes } from "#drivers/process/port.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import { emptyGroup, emptyThreadGroup } from "./empty-group.ts";

const usualWeight = milliCpu(1000);

/**
 * Takes away the groups of programs that were killed before they could: "<pid>-<start time>" below `parent`. What still
 * runs in them goes on in the groups of the caller, without limits.
 */
export async function releaseAbandoned(
  cgroups: Cgroups,
  parent: string,
  processes: Processes,
): Promise<void> {
  const self = processes.self();
  const home = processes.groupFiles(self);
  let others = 0;
  for (const name of cgroups.open(parent).children()) {
    const [, pid, startTime] = /^(\d+)-(\d+)$/.exec(name) ?? [];
    const alive = startTime === undefined || processes.isRunning({ pid: Number(pid), startTime });
    if (alive && Number(pid) !== self.pid) others += 1;
    if (alive) continue;
    const group = cgroups.open(`${parent}/${name}`);
    empty(cgroups, group, processes, home);
    await group.remove(new AbortController().signal);
  }
  // Raised for machines that are no more, it would keep everything else on this host from running.
  if (others === 0) cgroups.open(parent).setWeight(usualWeight);
}

function empty(cgroups: Cgroups, group: Cgroup, processes: Processes, home: readonly string[]): void {
  for (const child of group.children()) {
    const path = `${group.path}/${child}`;
    const threads = /^thread-\d+$/.test(child) ? cgroups.openForThreads(path) : undefined;
    if (threads === undefined) empty(cgroups, cgroups.open(path), processes, home);
    else emptyThreadGroup(threads, processes, processes.threadFiles(processes.self()));
  }
  emptyGroup(group, processes, home);
}
