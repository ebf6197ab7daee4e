import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { milliCpu } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { ProcessorCapacity } from "#control/scheduling/reservation.ts";
import type { Enforcement, TeamPolicy } from "#model/ensemble.ts";
import type { InterfaceReservations } from "#drivers/network/reservations/port.ts";
import type { Processes } from "#drivers/process/port.ts";
import type { CpuScheduler, EnforcementCounters } from "#drivers/scheduling/port.ts";
import { Background } from "./background.ts";
import { ConnectionFactory, NetworkManager } from "./connection.ts";
import { LastSteps } from "./last-steps.ts";
import { MemoryFactory, MemoryManager } from "./memory.ts";
import { enforcements, mustBeOneOf, resourceName, resourceNameRule, teamPolicies } from "./one-of.ts";
import { Memory, NetworkInterface, Processor } from "./physical.ts";
import { ProcessFactory } from "./process-factory.ts";
import type { GroupTree } from "./process-factory.ts";
import type { SchedParam } from "./sched-param.ts";
import { TeamFactory } from "./team-factory.ts";
import { VirtualTaskMachine } from "./virtual-task-machine.ts";
import { VtmScheduler } from "./vtm-scheduler.ts";

/** What a task host is made of; composition roots choose it. */
export type TaskHostParts = {
  readonly cpu: CpuScheduler;
  readonly processes: Processes;
  /** Absent: no control groups may be made here; memory and bandwidth limits are refused. */
  readonly groups?: GroupTree;
  readonly network?: { readonly name: string; readonly reservations: InterfaceReservations };
  readonly processors: readonly ProcessorCapacity[];
  readonly memoryBytes: Bytes;
  readonly log: Log;
  /** Takes away what is left at the very end. */
  readonly onClosed: () => Promise<void>;
};

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

/** This host as levels of resources, from its processors up to virtual task machines, with the managers of each level. */
export class TaskHost implements AsyncDisposable {
  readonly processors: readonly Processor[];
  readonly memory: Memory;
  readonly networkInterface: NetworkInterface | undefined;
  readonly vtmScheduler: VtmScheduler;
  readonly memoryManager: MemoryManager;
  readonly memoryFactory: MemoryFactory;
  readonly processFactory: ProcessFactory;
  readonly teamFactory: TeamFactory;
  readonly #network: { readonly manager: NetworkManager; readonly factory: ConnectionFactory } | undefined;
  readonly #parts: TaskHostParts;
  readonly #background: Background;
  readonly #ended = new AbortController();
  readonly #made = new Set<VirtualTaskMachine>();
  readonly #destroyed = new WeakMap<VirtualTaskMachine, Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(parts: TaskHostParts) {
    this.#parts = parts;
    this.#background = new Background(parts.log, this.#ended.signal);
    const machines = (): readonly VirtualTaskMachine[] => this.vtmScheduler.getResources();
    this.processors = parts.processors.map(
      ({ milli }, index) =>
        new Processor(`processor-${index}`, milliCpu(milli), () =>
          machines().map((machine) => machine.virtualProcessor),
        ),
    );
    this.memory = new Memory(parts.memoryBytes, () => this.memoryManager.getResources());
    this.vtmScheduler = new VtmScheduler(parts.cpu);
    this.memoryManager = new MemoryManager(parts.memoryBytes, parts.groups);
    this.memoryFactory = new MemoryFactory(this.memory, this.memoryManager);
    this.processFactory = new ProcessFactory(parts.processes, parts.groups, this.#background);
    this.teamFactory = new TeamFactory(this.vtmScheduler, this.processFactory);
    if (parts.network === undefined) return;
    const { name, reservations } = parts.network;
    const manager = new NetworkManager(reservations);
    this.networkInterface = new NetworkInterface(name, reservations.promisableBps, () =>
      manager.getResources(),
    );
    this.#network = { manager, factory: new ConnectionFactory(this.networkInterface, manager) };
  }

  /** Throws `unsupported` when this host was opened without a network interface. */
  get networkManager(): NetworkManager {
    return this.#networkParts.manager;
  }

  get connectionFactory(): ConnectionFactory {
    return this.#networkParts.factory;
  }

  /** Builds a machine, from a team and a memory buffer. Throws as admission does, and then nothing is left of it. */
  createMachine({
    name,
    cpu,
    enforcement = "auto",
    policy = "round-robin",
    memoryBytes,
  }: VtmSettings): VirtualTaskMachine {
    if (this.#closed !== undefined)
      throw new ConsortError("conflict", `Cannot create machine ${name}: its host is closed`);
    if (!resourceName.test(name))
      throw new ConsortError("bad_input", `Cannot create machine "${name}": ${resourceNameRule}`);
    mustBeOneOf("enforcement", enforcement, enforcements);
    mustBeOneOf("policy", policy, teamPolicies);
    const machine = new VirtualTaskMachine(name, enforcement, policy, {
      scheduler: this.vtmScheduler,
      teams: this.teamFactory,
      processors: this.processors,
      connectionFactory: () => this.connectionFactory,
    });
    this.vtmScheduler.addResource(machine);
    try {
      this.processFactory.createGroups(machine.team);
      if (cpu !== undefined) machine.setSchedParam(cpu);
      if (memoryBytes !== undefined) this.memoryFactory.create(machine, memoryBytes);
    } catch (cause) {
      this.vtmScheduler.removeResource(machine);
      this.processFactory.removeGroups(machine.team);
      machine.destroyed = true;
      throw cause;
    }
    this.#made.add(machine);
    return machine;
  }

  /**
   * What was started in it ends; what was adopted runs on without limits, where it was before. What fails is thrown
   * after all the rest has been done. Asked for again, it is the same end.
   */
  destroyMachine(machine: VirtualTaskMachine): Promise<void> {
    const already = this.#destroyed.get(machine);
    if (already !== undefined) return already;
    const done = this.#destroy(machine);
    this.#destroyed.set(machine, done);
    return done;
  }

  async #destroy(machine: VirtualTaskMachine): Promise<void> {
    if (!this.#made.delete(machine))
      throw new ConsortError("not_found", `Cannot destroy machine ${machine.name}: it is not of this host`);
    machine.destroyed = true;
    const steps = new LastSteps();
    for (const connection of machine.connections.toReversed())
      await steps.take(() => connection.manager.removeResource(connection));
    if (this.vtmScheduler.getResources().includes(machine))
      await steps.take(() => this.vtmScheduler.removeResource(machine));
    for (const process of machine.team.allProcesses())
      await steps.take(() =>
        process.adopted ? this.processFactory.letGo(process) : this.processFactory.end(process),
      );
    const { memory } = machine;
    if (memory !== undefined) await steps.take(() => this.memoryManager.removeResource(memory));
    this.processFactory.removeGroups(machine.team);
    await this.#background.settled();
    steps.finish();
  }

  /** How well reservations have been kept. */
  counters(): readonly EnforcementCounters[] {
    return this.#parts.cpu.counters();
  }

  /** Destroys all machines; nothing is left stopped, limited or marked. Throws as destroyMachine does. Once is enough. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const steps = new LastSteps();
    // Also those that their scheduler no longer knows.
    for (const machine of this.#made) await steps.take(() => this.destroyMachine(machine));
    await this.#background.settled();
    await steps.take(() => this.#parts.cpu.close());
    await steps.take(() => this.#parts.network?.reservations.close());
    const { groups } = this.#parts;
    if (groups !== undefined)
      await steps.take(() => groups.cgroups.open(groups.path).remove(this.#ended.signal));
    await steps.take(() => this.#parts.onClosed());
    this.#ended.abort();
    steps.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #networkParts() {
    if (this.#network !== undefined) return this.#network;
    throw new ConsortError(
      "unsupported",
      "Cannot reserve bandwidth: no network interface was named when this host was opened",
    );
  }
}
