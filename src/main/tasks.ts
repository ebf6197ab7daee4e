import { lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { geteuid } from "node:process";
import { bytes } from "#base/units.ts";
import type { Processes } from "#drivers/process/port.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { FileLedger } from "#drivers/promises/file-ledger.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import { releaseAbandoned } from "#tasks/abandoned-groups.ts";
import { checkHostOptions } from "#tasks/host-options.ts";
import type { TaskHostOptions } from "#tasks/host-options.ts";
import type { GroupTree } from "#tasks/process-factory.ts";
import { TaskHost } from "#tasks/task-host.ts";
import { openDirections } from "./task-network.ts";

/**
 * The library `consort/tasks`: virtual task machines within a program of one's own
 * (docs/howto/use-the-task-library.md). All it offers is named here.
 */
export type { TaskHostOptions } from "#tasks/host-options.ts";
export type { TaskHost } from "#tasks/task-host.ts";
export type { VtmFactory, VtmSettings } from "#tasks/vtm-factory.ts";
export type { AbstractResource, Job, Level, ResourceKind } from "#tasks/resource.ts";
export type { ResourceManager, Scheduler } from "#tasks/manager.ts";
export type { VirtualTaskMachine } from "#tasks/virtual-task-machine.ts";
export type { Team, TeamPart } from "#tasks/team.ts";
export type { ProcessJob } from "#tasks/process-job.ts";
export type { MemoryBuffer, MemoryFactory, MemoryManager } from "#tasks/memory.ts";
export type { Memory, NetworkInterface, Processor } from "#tasks/physical.ts";
export type { VirtualProcessor } from "#tasks/virtual-processor.ts";
export type { ProcessFactory, StartSettings } from "#tasks/process-factory.ts";
export type { TeamFactory } from "#tasks/team-factory.ts";
export type { TeamScheduler, TeamSettings } from "#tasks/team-scheduler.ts";
export type { VtmScheduler } from "#tasks/vtm-scheduler.ts";
export type {
  Connection,
  ConnectionDirection,
  ConnectionFactory,
  ConnectionSettings,
  NetworkManager,
  NetworkParam,
} from "#tasks/connection.ts";
export type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
export type { EnforcementCounters, EnforcementKind } from "#drivers/scheduling/port.ts";
export type { Enforcement, TeamPolicy } from "#model/ensemble.ts";
export type { BothSides } from "#tasks/adaptation.ts";
export { cpuAdapt, networkAdapt, networkReserve } from "#tasks/adaptation.ts";
export type { SchedParam } from "#tasks/sched-param.ts";
export { milliseconds } from "#tasks/sched-param.ts";
export type {
  Firing,
  Interceptor,
  KeptFiring,
  Strategy,
  StrategyActivator,
  StrategySelector,
  Violation,
} from "#tasks/interception.ts";
export { CommunicationPath, activateAtOnce, monitorInterceptor } from "#tasks/interception.ts";
export { ResourceInterceptor } from "#main/resource-interceptor.ts";
export type { Meter } from "#tasks/meter.ts";
export type { ViolationSettings, WatchSettings, Watching } from "#tasks/watching.ts";
export { pageMeter, programMeter, rtpMeter, schedulingMeter, watch } from "#main/task-meters.ts";
export type { Reading } from "#control/monitor/readings.ts";
export type { TrafficTarget } from "#drivers/network/reservations/port.ts";
export { bitsPerSecond, megabitsPerSecond, mebibytes, micros } from "#base/units.ts";
export type { BitsPerSecond, Bytes, Micros } from "#base/units.ts";
export type { ProcessorCapacity, Reservation, SchedulingPolicy } from "#control/scheduling/reservation.ts";
export { ConsortError, codeOf } from "#base/errors.ts";
export type { Log } from "#base/runtime.ts";

/**
 * This host, for this program alone. Close it at the end; when the program is killed, whatever it held goes on. Throws
 * `bad_input` for options that mean nothing or more than there is.
 */
export async function openTaskHost(options: TaskHostOptions = {}): Promise<TaskHost> {
  const has = { processors: availableParallelism(), memoryBytes: bytes(totalmem()) };
  checkHostOptions(options, has);
  const { log = silentLog, memoryBytes = has.memoryBytes, policy, quantumUs } = options;
  const processors = options.processors ?? Array.from({ length: has.processors }, () => ({ milli: 1000 }));
  const layout = machineLayout();
  const processes = systemProcesses(layout);
  const self = processes.self();
  const mark = `${self.pid}-${self.startTime}`;
  const parent = options.cgroupParent ?? "consort-tasks";
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeIfEmpty(parent));
  const groups = await ownGroups(parent, mark, processes);
  undo.defer(() => groups?.cgroups.open(groups.path).remove(new AbortController().signal));
  const directory = ownDirectory(mark, processes);
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const reservations =
    options.network === undefined ? undefined : await openDirections(options.network, undo);
  const promises = new FileLedger({
    directory: ledgerOf(parent),
    processes,
    self,
    has: { cpuMilli: has.processors * 1000, memoryBytes: has.memoryBytes },
  });
  const cpu = createCpuScheduler({
    directory,
    layout,
    processors,
    endsWithOwner: true,
    log,
    ...(groups === undefined ? {} : { cgroupParent: groups.path }),
    ...(policy === undefined ? {} : { policy }),
    ...(quantumUs === undefined ? {} : { quantumUs }),
  });
  undo.defer(() => cpu.close());
  cpu.recover([]);
  undo.move();
  return new TaskHost({
    cpu,
    processes,
    processors,
    memoryBytes,
    promises,
    log,
    ...(groups === undefined ? {} : { groups }),
    ...(options.network === undefined || reservations === undefined
      ? {}
      : { network: { name: options.network.interface, reservations } }),
    onClosed: async () => {
      rmSync(directory, { recursive: true, force: true });
      await removeIfEmpty(parent);
    },
  });
}

/** This program's own among the temporary files, after those of programs that were killed are gone. */
function ownDirectory(mark: string, processes: Processes): string {
  for (const name of readdirSync(tmpdir())) {
    const [, pid, startTime] = /^consort-tasks-(\d+)-(\d+)-\w+$/.exec(name) ?? [];
    if (startTime === undefined || processes.isRunning({ pid: Number(pid), startTime })) continue;
    const path = join(tmpdir(), name);
    // Of somebody else's making, it may be named so on purpose.
    if (lstatSync(path, { throwIfNoEntry: false })?.uid === process.getuid?.())
      rmSync(path, { recursive: true, force: true });
  }
  return mkdtempSync(join(tmpdir(), `consort-tasks-${mark}-`));
}

/** Of all programs of this user whose groups are below the same one. */
function ledgerOf(cgroupParent: string): string {
  const user = geteuid?.() ?? 0;
  const name = encodeURIComponent(cgroupParent);
  return user === 0 ? `/run/consort-promises-${name}` : join(tmpdir(), `consort-promises-${user}-${name}`);
}

/** Control groups for this program, after those of programs that were killed are gone; undefined where none may be made. */
async function ownGroups(parent: string, mark: string, processes: Processes): Promise<GroupTree | undefined> {
  const cgroups: Cgroups = systemCgroups(systemClock());
  const path = `${parent}/${mark}`;
  try {
    cgroups.open(path).create();
  } catch {
    // An ordinary user's program: processes are stopped and continued one by one, and what needs groups is refused.
    return undefined;
  }
  await releaseAbandoned(cgroups, parent, processes);
  return { cgroups, path };
}

/** The last program takes away the group all of them are below. */
async function removeIfEmpty(parent: string): Promise<void> {
  const group = systemCgroups(systemClock()).open(parent);
  if (group.children().length > 0 || group.pids().length > 0) return;
  await group.remove(new AbortController().signal);
}
