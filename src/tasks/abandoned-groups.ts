import type { Processes } from "#drivers/process/port.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";

/**
 * Takes away the groups of programs that were killed before they could: "<pid>-<start time>" below `parent`. What still
 * runs in them goes on in the groups of the caller, without limits.
 */
export async function releaseAbandoned(
  cgroups: Cgroups,
  parent: string,
  processes: Processes,
): Promise<void> {
  const home = processes.groupFiles(processes.self());
  for (const name of cgroups.open(parent).children()) {
    const [, pid, startTime] = /^(\d+)-(\d+)$/.exec(name) ?? [];
    if (startTime === undefined || processes.isRunning({ pid: Number(pid), startTime })) continue;
    const group = cgroups.open(`${parent}/${name}`);
    empty(cgroups, group, processes, home);
    await group.remove(new AbortController().signal);
  }
}

function empty(cgroups: Cgroups, group: Cgroup, processes: Processes, home: readonly string[]): void {
  for (const child of group.children())
    empty(cgroups, cgroups.open(`${group.path}/${child}`), processes, home);
  group.thaw();
  for (const pid of group.pids()) {
    const identity = processes.identify(pid);
    if (identity !== undefined) processes.join(identity, home);
  }
}
