import { bytes, mebibytes, micros } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import { ReservationBook } from "#control/scheduling/book.ts";
import type { ProcessorCapacity } from "#control/scheduling/reservation.ts";
import { ReservationLedger } from "#drivers/network/reservations/ledger.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { FakePromises } from "#drivers/promises/fake.ts";
import type { PromiseLedger } from "#drivers/promises/port.ts";
import { FakeProcesses } from "#drivers/process/fake.ts";
import { FakeEnforcer } from "#drivers/scheduling/fake.ts";
import { HostCpuScheduler } from "#drivers/scheduling/scheduler.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import { milliseconds } from "./sched-param.ts";
import { TaskHost } from "./task-host.ts";

/** For tests: a task host on which nothing is real. */
export type PretendedHost = {
  readonly host: TaskHost;
  readonly processes: FakeProcesses;
  readonly table: FakeEnforcer;
  readonly deadline: FakeEnforcer;
  /** Control groups that are there, with their memory limits. */
  readonly groups: ReadonlyMap<string, Bytes | "max">;
};

export const of40 = (executionMs: number) => ({
  periodUs: milliseconds(40),
  executionUs: milliseconds(executionMs),
});

export function pretendedHost(
  options: {
    readonly groups?: boolean;
    /** No group holds single threads, as where control groups are of version 2. */
    readonly threadsTogether?: boolean;
    readonly incoming?: boolean;
    readonly promises?: PromiseLedger;
    readonly processors?: readonly ProcessorCapacity[];
  } = {},
): PretendedHost {
  const processors = options.processors ?? [{ milli: 1000 }];
  const processes = new FakeProcesses();
  const table = new FakeEnforcer("dispatch-table");
  const deadline = new FakeEnforcer("deadline");
  const groups = new Map<string, Bytes | "max">();
  const ledger = () =>
    new ReservationLedger(megabitsPerSecond(10), {
      setClasses: () => {},
      dropClass: () => {},
      direct: async () => {},
      close: async () => {},
    });
  const host = new TaskHost({
    cpu: new HostCpuScheduler(new ReservationBook({ processors, policy: "rate-monotonic" }), [
      table,
      deadline,
    ]),
    processes,
    processors,
    memoryBytes: mebibytes(1024),
    promises: options.promises ?? new FakePromises({ cpuMilli: 1e6, memoryBytes: mebibytes(1e6) }).of("test"),
    network: {
      name: "eth0",
      reservations: { out: ledger(), ...(options.incoming === true ? { in: ledger() } : {}) },
    },
    log: silentLog,
    onClosed: async () => {},
    ...(options.groups === false
      ? {}
      : { groups: { cgroups: pretendedGroups(groups, processes, options.threadsTogether), path: "ours" } }),
  });
  return { host, processes, table, deadline, groups };
}

function pretendedGroups(
  groups: Map<string, Bytes | "max">,
  processes: FakeProcesses,
  threadsTogether = false,
): Cgroups {
  const below = (path: string): readonly string[] =>
    [...groups.keys()].filter((other) => other === path || other.startsWith(`${path}/`));
  const members = (path: string): number[] =>
    [...processes.running.values()]
      .filter(({ groupFiles }) => groupFiles.includes(`${path}/procs`))
      .map(({ identity }) => identity.pid);
  const open = (path: string): Cgroup => ({
    path,
    create: () => {
      if (!groups.has(path)) groups.set(path, "max");
    },
    exists: () => groups.has(path),
    attach: (pid) => processes.join({ pid, startTime: String(pid) }, [`${path}/procs`]),
    procsFiles: () => [`${path}/procs`],
    threadFiles: () => [`${path}/threads`],
    setCpu: () => {},
    setWeight: () => {},
    setMemory: (limit) => groups.set(path, limit),
    setPids: () => {},
    usage: () => ({ cpuUs: micros(0), memoryBytes: bytes(0) }),
    cpuUsedUs: () => milliseconds(0),
    memoryUsed: () => bytes(0),
    oomKills: () => 0,
    freeze: () => {},
    thaw: () => {},
    isFrozen: () => false,
    killAll: () => {
      for (const one of below(path))
        for (const pid of members(one)) processes.end(pid, { code: undefined, signal: "SIGKILL" });
    },
    pids: () => members(path),
    threads: () =>
      [...processes.threadsApart].flatMap(([tid, { groupFiles }]) =>
        groupFiles.includes(`${path}/threads`) ? [tid] : [],
      ),
    children: () => [],
    remove: async () => {
      for (const one of below(path)) groups.delete(one);
    },
    removeOrLower: () => void groups.delete(path),
    close: () => {},
  });
  return {
    open,
    openForCpu: open,
    openForThreads: (path) => (threadsTogether ? undefined : open(path)),
  };
}
