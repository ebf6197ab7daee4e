import { ConsortError } from "#base/errors.ts";
import { micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { AppliancesScheduler } from "#drivers/appliance/task/reservations.ts";
import type { EnforcementCounters, EnforcementKind, MachineRequest } from "#drivers/scheduling/port.ts";

/** Admits by utilisation alone and keeps nothing: for tests of who asks it for what. */
export class BookedScheduler implements AppliancesScheduler {
  readonly machines = new Map<string, MachineRequest>();
  readonly suspended = new Set<string>();
  /** What was asked of it, in order. */
  readonly calls: string[] = [];
  capacity = 2;

  recover(machines: readonly (MachineRequest & { readonly suspended: boolean })[]): void {
    this.calls.push(`recover ${machines.map(({ id }) => id).join(" ")}`);
    this.machines.clear();
    this.suspended.clear();
    for (const { suspended, ...machine } of machines) {
      this.#put(machine);
      if (suspended) this.suspended.add(machine.id);
    }
  }

  reserve(machine: MachineRequest): void {
    this.calls.push(`reserve ${machine.id}`);
    this.#put(machine);
  }

  #put(machine: MachineRequest): void {
    const others = [...this.machines.values()].filter(({ id }) => id !== machine.id);
    refuseBeyond(this.capacity, [...others, machine]);
    this.machines.set(machine.id, machine);
  }

  expel(id: string): void {
    this.calls.push(`expel ${id}`);
    this.machines.delete(id);
    this.suspended.delete(id);
  }

  adapt(changes: ReadonlyMap<string, Reservation>): void {
    this.calls.push(`adapt ${[...changes.keys()].join(" ")}`);
    for (const id of changes.keys()) {
      if (!this.machines.has(id)) throw new ConsortError("not_found", `Cannot adapt ${id}: it is not here`);
    }
    const after = [...this.machines.values()].map((one) => ({
      ...one,
      reservation: changes.get(one.id) ?? one.reservation,
    }));
    refuseBeyond(this.capacity, after);
    for (const one of after) this.machines.set(one.id, one);
  }

  suspend(id: string): void {
    this.suspended.add(id);
  }

  resume(id: string): void {
    this.suspended.delete(id);
  }

  enforcementOf(id: string): EnforcementKind | undefined {
    const machine = this.machines.get(id);
    if (machine === undefined) return undefined;
    return machine.enforcement === "auto" ? "dispatch-table" : machine.enforcement;
  }

  counters(): readonly EnforcementCounters[] {
    return [...this.machines.keys()].map((id) => ({ id, dispatches: 0, misses: 0, latestUs: micros(0) }));
  }
}

function refuseBeyond(capacity: number, machines: readonly MachineRequest[]): void {
  const wanted = machines.reduce(
    (sum, { reservation }) => sum + reservation.executionUs / reservation.periodUs,
    0,
  );
  if (wanted <= capacity) return;
  throw new ConsortError("unsatisfiable", `Cannot reserve ${wanted} processors: there are ${capacity}`);
}
