import { ConsortError } from "#base/errors.ts";
import type { Bytes } from "#base/units.ts";
import { enforcements, teamPolicies } from "#model/ensemble.ts";
import type { Enforcement, TeamPolicy } from "#model/ensemble.ts";
import type { ConnectionFactory } from "./connection.ts";
import type { MemoryFactory } from "./memory.ts";
import { mustBeOneOf, resourceName, resourceNameRule } from "./one-of.ts";
import type { ProcessFactory } from "./process-factory.ts";
import type { AbstractResource } from "./resource.ts";
import type { SchedParam } from "./sched-param.ts";
import type { TeamFactory } from "./team-factory.ts";
import { VirtualTaskMachine } from "./virtual-task-machine.ts";
import type { VtmScheduler } from "./vtm-scheduler.ts";

export type VtmSettings = {
  /** Letters, digits, dots and hyphens; it begins with a letter or digit. */
  readonly name: string;
  /** Absent: best effort, until something is reserved. */
  readonly cpu?: SchedParam;
  /** auto unless told. */
  readonly enforcement?: Enforcement;
  /** How the processes that are in no team share what the machine has; round-robin unless told. */
  readonly policy?: TeamPolicy;
  readonly memoryBytes?: Bytes;
};

/** What machines are built from, and by. */
export type VtmFactoryParts = {
  readonly scheduler: VtmScheduler;
  readonly teams: TeamFactory;
  readonly processes: ProcessFactory;
  readonly memory: MemoryFactory;
  readonly processors: readonly AbstractResource[];
  /** Throws `unsupported` where there is no network interface. */
  readonly connections: () => ConnectionFactory;
};

/** Builds virtual task machines, each from a team and a memory buffer. */
export class VtmFactory {
  readonly #parts: VtmFactoryParts;
  readonly #made = new Set<VirtualTaskMachine>();
  #closed = false;

  constructor(parts: VtmFactoryParts) {
    this.#parts = parts;
  }

  /** Throws as admission does, and then nothing is left of it. */
  create({
    name,
    cpu,
    enforcement = "auto",
    policy = "round-robin",
    memoryBytes,
  }: VtmSettings): VirtualTaskMachine {
    if (this.#closed) throw new ConsortError("conflict", `Cannot create machine ${name}: its host is closed`);
    if (!resourceName.test(name))
      throw new ConsortError("bad_input", `Cannot create machine "${name}": ${resourceNameRule}`);
    mustBeOneOf("enforcement", enforcement, enforcements);
    mustBeOneOf("policy", policy, teamPolicies);
    const { scheduler, teams, processes, memory, processors, connections } = this.#parts;
    const machine = new VirtualTaskMachine(name, enforcement, policy, {
      scheduler,
      teams,
      processors,
      connectionFactory: connections,
    });
    scheduler.addResource(machine);
    try {
      processes.createGroups(machine.team);
      if (cpu !== undefined) machine.setSchedParam(cpu);
      if (memoryBytes !== undefined) memory.create(machine, memoryBytes);
    } catch (cause) {
      scheduler.removeResource(machine);
      processes.removeGroups(machine.team);
      machine.destroyed = true;
      throw cause;
    }
    this.#made.add(machine);
    return machine;
  }

  /** All that have not ended, also those that their scheduler no longer knows. */
  made(): readonly VirtualTaskMachine[] {
    return [...this.#made];
  }

  /** False: it is not of this factory, or has ended. */
  forget(machine: VirtualTaskMachine): boolean {
    return this.#made.delete(machine);
  }

  /** It makes no more. */
  close(): void {
    this.#closed = true;
  }
}
