import { realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "#base/runtime.ts";
import { micros } from "#base/units.ts";
import type { TableEffect } from "#control/scheduling/book.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { CpuEnforcer, EnforcedMachine, EnforcementCounters, JobGroup } from "../port.ts";
import { heaviest } from "../weights.ts";
import type { GroupWeights } from "../weights.ts";
import { QuotaFile } from "../quota-file.ts";
import { groupsOf, jobKey, suspendedJobs } from "../job-groups.ts";
import { DispatcherProcess } from "./dispatcher-process.ts";
import { FrozenGroup } from "./frozen-group.ts";
import { hasTable, removeAbandonedTables, removeOfOthers, tableFile } from "./file.ts";
import { assertFits, publish, publishSlots } from "./halves.ts";
import { JobList } from "./jobs.ts";
import { TableMemory, capacity, realTime, word } from "./memory.ts";
import { Numbers } from "./numbers.ts";
import { ProcessPriorities } from "./priorities.ts";
import { putBackRaised, recordRaised } from "./raised.ts";
import type { PutBack } from "./raised.ts";
import { RealTimeRooms } from "./real-time-rooms.ts";
import { SlotThreads, turnsPutBacks } from "./slot-threads.ts";
import type { PlacedMachine } from "./slot-threads.ts";
import { threadList } from "../threads.ts";
import { busiestColumn, columnsOf, placedTargets, targetName } from "./targets.ts";

export type TableEnforcerOptions = {
  /** The owner's own, made if missing and removed at the end. One owner at a time. */
  readonly directory: string;
  readonly layout: CgroupLayout;
  readonly weights: GroupWeights;
  /** Whether the dispatcher ends, and all goes on, when this process does; else it waits for the next owner. */
  readonly endsWithOwner: boolean;
  /**
   * The machine's processors that the columns of the table stand for, in their order: dispatched jobs that are control
   * groups run on these, before everything of ordinary priority. Absent: the table is not of certain processors, as where
   * others dispatch on this machine, too, and all stay ordinary.
   */
  readonly processors?: readonly number[];
  readonly log: Log;
};

/** A little more, as the kernel keeps some of it back where a thread has moved from one processor to another. */
const oneProcessor = { executionUs: micros(11_000), periodUs: micros(10_000) };

/** Made when there is something to dispatch, or something was left by an earlier owner. */
type Running = {
  readonly file: string;
  readonly memory: TableMemory;
  readonly jobs: JobList;
  readonly dispatcher: DispatcherProcess;
  readonly frozen: FrozenGroup;
};

/** Keeps reservations by a dispatch table that a process of its own carries out: see memory.ts for how they agree. */
export class TableEnforcer implements CpuEnforcer {
  readonly kind = "dispatch-table";
  readonly #options: TableEnforcerOptions;
  readonly #priorities = new ProcessPriorities();
  readonly #threads: SlotThreads;
  readonly #rooms: RealTimeRooms;
  readonly #confined = new Map<string, { readonly file: QuotaFile; readonly limit: Reservation }>();
  readonly #machineNumbers = new Numbers("machines in a dispatch table", capacity.machines);
  readonly #cursors = new Numbers("targets of a dispatch table", capacity.targets);
  #machines = new Map<string, EnforcedMachine>();
  #jobNumbers: ReadonlyMap<string, number> = new Map();
  #running: Running | undefined;
  #isDispatched = false;
  /** A dispatcher was started, or died, and is not up yet. */
  #isAwaited = false;
  #table: DispatchTable | undefined;
  #favouring: NodeJS.Immediate | undefined;

  constructor(options: TableEnforcerOptions) {
    this.#options = options;
    this.#threads = new SlotThreads(options.layout);
    this.#rooms = new RealTimeRooms(options.layout);
  }

  /** For whoever measures or tests it; not to be written. Undefined while nothing was ever to be dispatched. */
  get memory(): TableMemory | undefined {
    return this.#running?.memory;
  }

  apply(machines: readonly EnforcedMachine[], table: DispatchTable): void {
    if (machines.length === 0 && this.#running === undefined && !hasTable(this.#options.directory)) return;
    this.#running ??= this.#open();
    const { memory, jobs, dispatcher } = this.#running;
    const byId = new Map(machines.map((machine) => [machine.id, machine]));
    const groups = machines.flatMap(groupsOf);
    const numbers = jobs.want(groups, new Set(machines.flatMap(suspendedJobs).map(jobKey)));
    const jobNumbers = new Map(groups.map((group, at) => [jobKey(group), numbers[at] ?? 0]));
    try {
      const targets = this.#placed(table, byId, jobNumbers);
      assertFits(table, targets);
      publish(memory, table, targets);
      this.#setTable(table);
    } catch (error) {
      jobs.letGo(new Set(this.#jobNumbers.values()));
      throw error;
    }
    this.#machines = byId;
    this.#jobNumbers = jobNumbers;
    jobs.letGo(new Set(numbers));
    this.#forget(memory, table);
    this.#confine();
    this.#favour();
    Atomics.add(memory.header, word.structure, 1);
    if (machines.length > 0 || dispatcher.isThere) dispatcher.ensure();
    dispatcher.poke();
  }

  adapt(changes: ReadonlyMap<string, Reservation>, effect: TableEffect, table: DispatchTable): void {
    if (this.#running === undefined) return;
    const { memory } = this.#running;
    if (effect.kind === "slots") publishSlots(memory, effect.changes);
    if (effect.kind === "rebuilt") {
      const targets = this.#placed(table, this.#machines, this.#jobNumbers);
      assertFits(table, targets);
      publish(memory, table, targets);
      this.#setTable(table);
    }
    for (const [id, reservation] of changes) {
      const machine = this.#machines.get(id);
      if (machine === undefined) continue;
      this.#machines.set(id, { ...machine, reservation });
      if (this.#isAwaited && machine.cgroup !== undefined) this.#limit(machine.cgroup, reservation);
    }
    // It is in effect already; how much of real-time priority that takes may follow.
    if (effect.kind === "rebuilt" || this.#rooms.isRationed) {
      this.#favouring ??= setImmediate(() => this.#favour());
    }
  }

  counters(): readonly EnforcementCounters[] {
    if (this.#running === undefined) return [];
    const { dispatches, misses, latestUs } = this.#running.memory;
    return [...this.#machines.keys()].map((id) => {
      const at = this.#machineNumbers.of(id);
      return {
        id,
        dispatches: dispatches[at] ?? 0,
        misses: misses[at] ?? 0,
        latestUs: micros(latestUs[at] ?? 0),
      };
    });
  }

  async ready(): Promise<void> {
    await this.#running?.dispatcher.ready();
  }

  async close(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    this.#machines.clear();
    this.#confine();
    this.#setDispatched(false);
    running.frozen.keep(false);
    await running.dispatcher.end();
    rmSync(running.file, { force: true });
    rmSync(this.#options.directory, { recursive: true, force: true });
    running.memory.close();
  }

  /** The table has been removed under us: what it said is written into another one. */
  #beginAgain(): void {
    const lost = this.#running;
    if (lost === undefined || this.#table === undefined) return;
    this.#options.log.warn("The dispatch table has been removed: another one is begun", { file: lost.file });
    lost.dispatcher.forget();
    lost.frozen.keep(false);
    this.#running = undefined;
    lost.memory.close();
    for (const { file } of this.#confined.values()) file.close();
    this.#confined.clear();
    this.apply([...this.#machines.values()], this.#table);
  }

  #open(): Running {
    const { directory, layout, log, endsWithOwner } = this.#options;
    const file = tableFile(directory);
    removeOfOthers(file);
    const memory = TableMemory.open(file);
    // First, as of a table without one all processes have to be asked whether they use it.
    memory.setDirectory(realpathSync(directory));
    removeAbandonedTables();
    putBackRaised(directory);
    memory.setOwner(endsWithOwner ? process.pid : 0, readStartTime(process.pid) ?? "0");
    const jobs = new JobList(memory, layout);
    const dispatcher = new DispatcherProcess({
      memory,
      file,
      directory,
      cpuRootProcs: layout.v1.cpu === undefined ? undefined : join(layout.v1.cpu, "cgroup.procs"),
      log,
      onUp: () => this.#setDispatched(true),
      onDeath: () => {
        jobs.continueAll();
        this.#setDispatched(false);
      },
      onLost: () => this.#beginAgain(),
    });
    return { file, memory, jobs, dispatcher, frozen: new FrozenGroup(layout, file) };
  }

  /**
   * In its slots a machine is to have the processor to itself; but only while somebody stops it after them, as without
   * a dispatcher it would keep everything else from running, the start of a dispatcher too.
   */
  #setDispatched(isDispatched: boolean): void {
    this.#isDispatched = isDispatched;
    this.#isAwaited = !isDispatched;
    this.#confine();
    this.#favour();
  }

  #setTable(table: DispatchTable): void {
    this.#table = table;
    const processor = this.#options.processors?.[busiestColumn(table)];
    const { header } = this.#running?.memory ?? {};
    if (header !== undefined)
      Atomics.store(header, word.processor, processor === undefined ? 0 : processor + 1);
  }

  #favour(): void {
    clearImmediate(this.#favouring);
    this.#favouring = undefined;
    const favoured = this.#isDispatched ? [...this.#machines.values()] : [];
    const groups = favoured.flatMap(({ cgroup }) =>
      cgroup === undefined ? [] : [[cgroup, heaviest] as const],
    );
    const claim = { groups: new Map(groups), outer: heaviest };
    const jobs = favoured.flatMap(groupsOf);
    const placed = this.#placedOn(favoured);
    const { weights } = this.#options;
    const isDispatching = favoured.length > 0;
    const quotas = [...this.#confined.values()].map(({ file }) => file.lifting);
    this.#record([
      ...(this.#running?.frozen.putBacks(isDispatching) ?? []),
      ...placed.flatMap(turnsPutBacks),
      ...this.#rooms.putBacks(placed),
      ...weights.putBacks(claim),
      ...quotas.map((each) => ({ kind: "write", ...each }) as const),
      ...this.#priorities.putBacks(jobs),
    ]);
    this.#running?.frozen.keep(isDispatching);
    weights.claim(this.kind, claim);
    this.#priorities.keep(jobs);
    const roomy = this.#rooms.raise(placed);
    const first = new Map(
      placed
        .filter((_each, at) => roomy.has(at))
        .flatMap(({ paths, processor }) => paths.map((path) => [path, processor])),
    );
    this.#threads.keep(jobs.map((job) => ({ job, processor: first.get(jobKey(job)) })));
    this.#rooms.lower(placed);
  }

  /** Machines that may come before others, each on the processor of its slots. */
  #placedOn(machines: readonly EnforcedMachine[]): readonly PlacedMachine[] {
    const { processors, layout } = this.#options;
    const granted = this.memory?.header[word.realTime] === realTime.granted;
    // A dispatcher that does not come before them could not stop them.
    if (!granted || processors === undefined || this.#table === undefined) return [];
    const columns = columnsOf(this.#table);
    return machines.flatMap((machine) => {
      const processor = processors[columns.get(machine.id) ?? -1];
      // What an adopted process starts is not among the jobs, and would stay on that processor.
      const groups = groupsOf(machine).filter((job) => job.kind === "cgroup");
      if (processor === undefined || groups.length === 0) return [];
      const threadLists = groups.flatMap((job) => threadList(job, layout) ?? []);
      return [{ paths: groups.map(({ path }) => path), threadLists, processor, ...machine.reservation }];
    });
  }

  #record(entries: readonly PutBack[]): void {
    const isDone = this.#running === undefined && entries.length === 0;
    if (!isDone) recordRaised(this.#options.directory, entries);
  }

  /**
   * The processes of one machine together get no more than the one processor its slots are of; while nobody stops them
   * after these, no more than what is reserved.
   */
  #confine(): void {
    const wanted = new Map(
      [...this.#machines.values()].flatMap(({ cgroup, reservation }) =>
        cgroup === undefined ? [] : [[cgroup, this.#isAwaited ? reservation : oneProcessor] as const],
      ),
    );
    for (const [path, { file }] of this.#confined) {
      if (wanted.has(path)) continue;
      file.lift();
      file.close();
      this.#confined.delete(path);
    }
    for (const [path, limit] of wanted) this.#limit(path, limit);
  }

  #limit(path: string, limit: Reservation): void {
    const known = this.#confined.get(path);
    if (known?.limit.executionUs === limit.executionUs && known.limit.periodUs === limit.periodUs) return;
    const file = known?.file ?? QuotaFile.open(this.#options.layout, path);
    if (file === undefined) return;
    this.#confined.set(path, { file, limit });
    file.setUnlessLess(limit);
  }

  #placed(
    table: DispatchTable,
    machines: ReadonlyMap<string, EnforcedMachine>,
    jobNumbers: ReadonlyMap<string, number>,
  ): ReturnType<typeof placedTargets> {
    return placedTargets(table.targets, machines, {
      jobOf: (group: JobGroup) => jobNumbers.get(jobKey(group)) ?? 0,
      machineOf: (id) => this.#machineNumbers.of(id),
      cursorOf: (target) => this.#cursors.of(target),
    });
  }

  /** Numbers of machines and targets that are no more, with what was counted of them. */
  #forget({ dispatches, misses, latestUs, cursors }: TableMemory, table: DispatchTable): void {
    this.#machineNumbers.keep(new Set(this.#machines.keys()), (at) => {
      dispatches[at] = 0;
      misses[at] = 0;
      latestUs[at] = 0;
    });
    this.#cursors.keep(new Set(table.targets.map(targetName)), (at) => {
      cursors[at] = 0;
    });
  }
}
