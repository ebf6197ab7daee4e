import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "#base/runtime.ts";
import { micros } from "#base/units.ts";
import type { TableEffect } from "#control/scheduling/book.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { CpuEnforcer, EnforcedMachine, EnforcementCounters, JobGroup } from "../port.ts";
import { GroupWeights } from "../weights.ts";
import { DispatcherProcess } from "./dispatcher-process.ts";
import { tableFile } from "./file.ts";
import { assertFits, publish, publishSlots } from "./halves.ts";
import { JobList, jobKey } from "./jobs.ts";
import { TableMemory, capacity, word } from "./memory.ts";
import { Numbers } from "./numbers.ts";
import { ProcessPriorities } from "./priorities.ts";
import { groupsOf, placedTargets, targetName } from "./targets.ts";

export type TableEnforcerOptions = {
  /** The owner's own, made if missing and removed at the end. One owner at a time. */
  readonly directory: string;
  readonly layout: CgroupLayout;
  /** The group that all machines' groups are below. */
  readonly cgroupParent?: string;
  readonly log: Log;
};

/** Keeps reservations by a dispatch table that a process of its own carries out: see memory.ts for how they agree. */
export class TableEnforcer implements CpuEnforcer {
  readonly kind = "dispatch-table";
  /** For whoever measures or tests it; not to be written. */
  readonly memory: TableMemory;
  readonly #options: TableEnforcerOptions;
  readonly #file: string;
  readonly #jobs: JobList;
  readonly #dispatcher: DispatcherProcess;
  readonly #weights: GroupWeights;
  readonly #priorities = new ProcessPriorities();
  readonly #machineNumbers = new Numbers("machines in a dispatch table", capacity.machines);
  readonly #cursors = new Numbers("targets of a dispatch table", capacity.targets);
  #machines = new Map<string, EnforcedMachine>();
  #jobNumbers: ReadonlyMap<string, number> = new Map();
  #closed = false;

  constructor(options: TableEnforcerOptions) {
    this.#options = options;
    const { directory, layout, log } = options;
    this.#file = tableFile(directory);
    this.memory = TableMemory.open(this.#file);
    this.#jobs = new JobList(this.memory, layout);
    this.#weights = new GroupWeights(layout, options.cgroupParent);
    this.#dispatcher = new DispatcherProcess({
      memory: this.memory,
      file: this.#file,
      directory,
      cpuRootProcs: layout.v1.cpu === undefined ? undefined : join(layout.v1.cpu, "cgroup.procs"),
      log,
      onDeath: () => this.#jobs.continueAll(),
    });
  }

  apply(machines: readonly EnforcedMachine[], table: DispatchTable): void {
    const byId = new Map(machines.map((machine) => [machine.id, machine]));
    const groups = machines.flatMap(groupsOf);
    const numbers = this.#jobs.want(groups);
    const jobNumbers = new Map(groups.map((group, at) => [jobKey(group), numbers[at] ?? 0]));
    const targets = this.#placed(table, byId, jobNumbers);
    assertFits(table, targets);
    publish(this.memory, table, targets);
    this.#machines = byId;
    this.#jobNumbers = jobNumbers;
    this.#jobs.letGo(new Set(numbers));
    this.#forget(table);
    this.#weights.keep(machines.flatMap(({ cgroup }) => cgroup ?? []));
    this.#priorities.keep(groups);
    Atomics.add(this.memory.header, word.structure, 1);
    if (machines.length > 0) this.#dispatcher.ensure();
    this.#dispatcher.poke();
  }

  adapt(changes: ReadonlyMap<string, Reservation>, effect: TableEffect, table: DispatchTable): void {
    if (effect.kind === "slots") publishSlots(this.memory, effect.changes);
    if (effect.kind === "rebuilt") {
      const targets = this.#placed(table, this.#machines, this.#jobNumbers);
      assertFits(table, targets);
      publish(this.memory, table, targets);
    }
    for (const [id, reservation] of changes) {
      const machine = this.#machines.get(id);
      if (machine !== undefined) this.#machines.set(id, { ...machine, reservation });
    }
  }

  counters(): readonly EnforcementCounters[] {
    if (this.#closed) return [];
    const { dispatches, misses, latestUs } = this.memory;
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

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#weights.keep([]);
    this.#priorities.keep([]);
    await this.#dispatcher.end();
    rmSync(this.#file, { force: true });
    rmSync(this.#options.directory, { recursive: true, force: true });
    this.memory.close();
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
  #forget(table: DispatchTable): void {
    const { dispatches, misses, latestUs, cursors } = this.memory;
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
