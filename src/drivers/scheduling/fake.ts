import { micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { CpuEnforcer, EnforcedMachine, EnforcementCounters, EnforcementKind } from "./port.ts";

/** Keeps nothing and remembers everything; can be told to fail once. */
export class FakeEnforcer implements CpuEnforcer {
  readonly kind: EnforcementKind;
  readonly machines = new Map<string, EnforcedMachine>();
  closed = false;
  #failure: Error | undefined;

  constructor(kind: EnforcementKind) {
    this.kind = kind;
  }

  failNext(failure: Error): void {
    this.#failure = failure;
  }

  apply(machines: readonly EnforcedMachine[]): void {
    this.#failOnce();
    this.machines.clear();
    for (const machine of machines) this.machines.set(machine.id, machine);
  }

  adapt(changes: ReadonlyMap<string, Reservation>): void {
    this.#failOnce();
    for (const [id, reservation] of changes) {
      const machine = this.machines.get(id);
      if (machine !== undefined) this.machines.set(id, { ...machine, reservation });
    }
  }

  counters(): readonly EnforcementCounters[] {
    return [...this.machines.keys()].map((id) => ({ id, dispatches: 0, misses: 0, latestUs: micros(0) }));
  }

  /** The part of a processor a busy machine gets; undefined: nothing holds it. */
  shareOf(id: string): number | undefined {
    const machine = this.machines.get(id);
    if (machine === undefined) return undefined;
    return machine.suspended ? 0 : machine.reservation.executionUs / machine.reservation.periodUs;
  }

  async close(): Promise<void> {
    this.machines.clear();
    this.closed = true;
  }

  #failOnce(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }
}
