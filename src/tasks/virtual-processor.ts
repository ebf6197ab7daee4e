import type { Reservation } from "#control/scheduling/reservation.ts";
import type { AbstractResource } from "./resource.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/** The part of the processors a machine has: what its processes run on. */
export class VirtualProcessor implements AbstractResource {
  readonly kind = "virtual-processor";
  readonly level = "virtual";
  readonly #machine: VirtualTaskMachine;
  readonly #processors: readonly AbstractResource[];

  constructor(machine: VirtualTaskMachine, processors: readonly AbstractResource[]) {
    this.#machine = machine;
    this.#processors = processors;
  }

  get name(): string {
    return `${this.#machine.name}/processor`;
  }

  /** Undefined: it has what nobody reserved. */
  get reservation(): Reservation | undefined {
    return this.#machine.getSchedParam();
  }

  higher(): readonly AbstractResource[] {
    return this.#machine.team.allProcesses();
  }

  lower(): readonly AbstractResource[] {
    return this.#processors;
  }
}
