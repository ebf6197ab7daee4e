import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { milliCpu, millis } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { ProcessorCapacity } from "#control/scheduling/reservation.ts";
import type { PromiseLedger } from "#drivers/promises/port.ts";
import type { Processes } from "#drivers/process/port.ts";
import type { CpuScheduler, EnforcementCounters } from "#drivers/scheduling/port.ts";
import { Background } from "./background.ts";
import { ConnectionFactory, NetworkManager } from "./connection.ts";
import type { Directions } from "./connection.ts";
import { LastSteps } from "./last-steps.ts";
import { MemoryFactory, MemoryManager } from "./memory.ts";
import { Memory, NetworkInterface, Processor } from "./physical.ts";
import { ProcessFactory } from "./process-factory.ts";
import type { GroupTree } from "./process-factory.ts";
import { SharedCpuScheduler } from "./shared-cpu.ts";
import { TeamFactory } from "./team-factory.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";
import { VtmFactory } from "./vtm-factory.ts";
import type { VtmSettings } from "./vtm-factory.ts";
import { VtmScheduler } from "./vtm-scheduler.ts";

/** What a task host is made of; composition roots choose it. */
export type TaskHostParts = {
  readonly cpu: CpuScheduler;
  readonly processes: Processes;
  /** Absent: no control groups may be made here; memory and bandwidth limits are refused. */
  readonly groups?: GroupTree;
  readonly network?: { readonly name: string; readonly reservations: Directions };
  readonly processors: readonly ProcessorCapacity[];
  readonly memoryBytes: Bytes;
  /** Shared with other programs on this machine; closed with the host. */
  readonly promises: PromiseLedger;
  readonly log: Log;
  /** Takes away what is left at the very end. */
  readonly onClosed: () => Promise<void>;
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
  readonly vtmFactory: VtmFactory;
  readonly #network: { readonly manager: NetworkManager; readonly factory: ConnectionFactory } | undefined;
  readonly #parts: TaskHostParts;
  readonly #cpu: SharedCpuScheduler;
  readonly #background: Background;
  readonly #ended = new AbortController();
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
    this.#cpu = new SharedCpuScheduler(parts.cpu, parts.promises);
    this.vtmScheduler = new VtmScheduler(this.#cpu);
    this.memoryManager = new MemoryManager(parts.memoryBytes, parts.groups, parts.promises);
    this.memoryFactory = new MemoryFactory(this.memory, this.memoryManager);
    this.processFactory = new ProcessFactory(parts.processes, parts.groups, this.#background);
    this.teamFactory = new TeamFactory(this.vtmScheduler, this.processFactory);
    this.vtmFactory = new VtmFactory({
      scheduler: this.vtmScheduler,
      teams: this.teamFactory,
      processes: this.processFactory,
      memory: this.memoryFactory,
      processors: this.processors,
      connections: () => this.connectionFactory,
    });
    if (parts.network === undefined) return;
    const { name, reservations } = parts.network;
    const manager = new NetworkManager(reservations);
    const capacity = { out: reservations.out.promisableBps, in: reservations.in?.promisableBps };
    this.networkInterface = new NetworkInterface(name, capacity, () => manager.getResources());
    this.#network = { manager, factory: new ConnectionFactory(this.networkInterface, manager) };
  }

  /** Throws `unsupported` when this host was opened without a network interface. */
  get networkManager(): NetworkManager {
    return this.#networkParts.manager;
  }

  get connectionFactory(): ConnectionFactory {
    return this.#networkParts.factory;
  }

  /** Builds a machine, as `vtmFactory` does. Throws as admission does, and then nothing is left of it. */
  createMachine(settings: VtmSettings): VirtualTaskMachine {
    return this.vtmFactory.create(settings);
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
    if (!this.vtmFactory.forget(machine))
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

  /** CPU time of all that is or was in this machine; undefined where there are no control groups, which count it. */
  cpuUsedMs(machine: VirtualTaskMachine): Millis | undefined {
    machine.mustBeThere(`measure ${machine.name}`);
    const path = machine.team.cgroupPath;
    if (this.#parts.groups === undefined || path === undefined) return undefined;
    const group = this.#parts.groups.cgroups.open(path);
    const usedMs = millis(group.cpuUsedUs() / 1000);
    group.close();
    return usedMs;
  }

  /** Destroys all machines; nothing is left stopped, limited or marked. Throws as destroyMachine does. Once is enough. */
  close(): Promise<void> {
    this.vtmFactory.close();
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const steps = new LastSteps();
    for (const machine of this.vtmFactory.made()) await steps.take(() => this.destroyMachine(machine));
    await this.#background.settled();
    await steps.take(() => this.#cpu.close());
    await steps.take(() => this.#parts.network?.reservations.in?.close());
    await steps.take(() => this.#parts.network?.reservations.out.close());
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
