import type { Micros } from "#base/units.ts";
import { chooseQuantum } from "./choose-quantum.ts";
import { RunningTable } from "./adapt-table.ts";
import type { SlotChange } from "./adapt-table.ts";
import { admission, formRefusal, largestFeasible, totalShare } from "./admission.ts";
import type { Admission, BookedMachine, HostCapacity } from "./admission.ts";
import type { DispatchTable } from "./dispatch-table.ts";
import { LoadSums } from "./load-sums.ts";
import { inQuanta } from "./quanta.ts";
import type { Refusal } from "./refusal.ts";
import type { Reservation, SchedulingPolicy } from "./reservation.ts";
import { layOutTable } from "./dispatch-table.ts";
import { nextTable } from "./carry-over.ts";
import { placeAround, tableRefusal } from "./placement.ts";
import { teamsProblem } from "./teams.ts";

/** What became of the book's table: nothing, these slots of it, or it is another one. */
export type TableEffect =
  | { readonly kind: "none" }
  | { readonly kind: "slots"; readonly changes: readonly SlotChange[] }
  | { readonly kind: "rebuilt" };

export type BookResult =
  | { readonly ok: true; readonly effect: TableEffect }
  | { readonly ok: false; readonly refusal: Refusal };

const untouched: BookResult = { ok: true, effect: { kind: "none" } };
const rebuilt: BookResult = { ok: true, effect: { kind: "rebuilt" } };

/**
 * All reservations of one host, and the dispatch table that keeps some of them. Every call either changes all it is asked
 * for, or nothing, and tells why. Whatever makes more of what is reserved is admitted only if the whole set is
 * (admission.ts). Less of it is always possible; what is left then fits where it is, and nearly always from nothing too:
 * only a set for which placing from nothing gives up its search would not.
 *
 * Adapting must take microseconds while hundreds of machines run. So the book keeps sums with which most changes are
 * decided without looking at the others, and a table that changes slot by slot; whatever these cannot decide goes the
 * long way, through the exact test of the whole set.
 */
export class ReservationBook {
  #host: HostCapacity;
  readonly #machines = new Map<string, BookedMachine>();
  #running: RunningTable;
  #sums: LoadSums;

  constructor(host: HostCapacity) {
    this.#host = host;
    const settings = { ...host, quantumUs: host.quantumUs ?? chooseQuantum([]) };
    this.#running = new RunningTable([], new Map(), layOutTable([], new Map(), settings));
    this.#sums = new LoadSums([], new Map(), host, settings.quantumUs);
  }

  /** Of all machines kept by it, also suspended ones. `adapt` changes its slots in place. */
  get table(): DispatchTable {
    return this.#running.table;
  }

  get(id: string): BookedMachine | undefined {
    return this.#machines.get(id);
  }

  machines(): readonly BookedMachine[] {
    return [...this.#machines.values()];
  }

  /** Parts of all processors together that are reserved, of `capacity`; 1 is one processor. */
  get reserved(): { readonly share: number; readonly capacity: number } {
    return { share: this.#sums.total, capacity: totalShare(this.#host.processors) };
  }

  /** Why this machine could not be reserved, beside the others or in its own place; undefined: it could. */
  admit(machine: BookedMachine): Refusal | undefined {
    const answer = this.#admission([machine]);
    return answer.ok ? undefined : this.#explained(answer.refusal, [machine]);
  }

  reserve(machine: BookedMachine): BookResult {
    return this.reserveAll([machine]);
  }

  /** New ones, and others in place of what was reserved under their ids; all of them, or none. */
  reserveAll(machines: readonly BookedMachine[]): BookResult {
    const changed = machines.filter((machine) => !isReserved(machine, this.#machines.get(machine.id)));
    const asked = this.#admission(changed);
    const answer = asked.ok || !this.#onlyShrinks(changed) ? asked : this.#asItIs();
    if (!answer.ok) return { ok: false, refusal: this.#explained(answer.refusal, changed) };
    const tabled = changed.some(
      ({ id, kind }) => kind === "dispatch-table" || this.#machines.get(id)?.kind === "dispatch-table",
    );
    for (const machine of changed) this.#machines.set(machine.id, machine);
    if (tabled)
      this.#relay(new Set(changed.map((machine) => machine.id)), answer.quantumUs, answer.processorOf);
    this.#recount();
    return tabled ? rebuilt : untouched;
  }

  expel(id: string): BookResult {
    const machine = this.#machines.get(id);
    if (machine === undefined) return untouched;
    this.#machines.delete(id);
    const tabled = machine.kind === "dispatch-table";
    // Where the others are they fit without it, in the slots they have.
    if (tabled) this.#relay(new Set([id]), this.#running.table.quantumUs, this.#running.processorOf);
    this.#recount();
    return tabled ? rebuilt : untouched;
  }

  /** Other reservations for machines that are there: all of them at once, or none. */
  adapt(changes: ReadonlyMap<string, Reservation>): BookResult {
    const changed: BookedMachine[] = [];
    for (const [id, reservation] of changes) {
      const machine = this.#machines.get(id);
      if (machine === undefined)
        return {
          ok: false,
          refusal: { code: "not-here", machine: id, reason: `${id} has nothing reserved here` },
        };
      changed.push({ ...machine, reservation });
    }
    return this.#move(changed) ?? this.reserveAll(changed);
  }

  get policy(): SchedulingPolicy {
    return this.#host.policy;
  }

  /** Another first level of scheduling for all machines in the table; refused when they would not fit under it. */
  setPolicy(policy: SchedulingPolicy): BookResult {
    if (policy === this.#host.policy) return untouched;
    const host = { ...this.#host, policy };
    const answer = admission(this.machines(), host);
    if (!answer.ok) return { ok: false, refusal: answer.refusal };
    this.#host = host;
    this.#relay(new Set(this.#machines.keys()), answer.quantumUs, answer.processorOf);
    this.#recount();
    return rebuilt;
  }

  /** Suspended, it holds its reservation and its slots. False: it is not here. */
  setSuspended(id: string, suspended: boolean): boolean {
    const machine = this.#machines.get(id);
    if (machine === undefined) return false;
    this.#machines.set(id, { ...machine, suspended });
    return true;
  }

  /** The quick way: undefined when it cannot tell. */
  #move(changed: readonly BookedMachine[]): BookResult | undefined {
    const { quantumUs, policy } = this.#running.table;
    const tableChanges = new Map<string, Reservation>();
    for (const machine of changed) {
      const before = this.#machines.get(machine.id);
      const { periodUs, executionUs } = machine.reservation;
      if (before === undefined || before.reservation.periodUs !== periodUs) return undefined;
      if (formRefusal(machine) !== undefined) return undefined;
      if (machine.kind !== "dispatch-table") continue;
      if (this.#host.quantumUs === undefined && executionUs % quantumUs !== 0) return undefined;
      const { period, execution } = inQuanta(machine.reservation, quantumUs);
      if (execution > period) return undefined;
      if (machine.teams.length > 0 && teamsProblem(machine, { quantumUs, policy }) !== undefined)
        return undefined;
      tableChanges.set(machine.id, machine.reservation);
    }
    const admitted = this.#sums.admit(changed, (id) => this.#machines.get(id));
    const slots = admitted === undefined ? undefined : this.#running.adapt(tableChanges);
    if (admitted === undefined || slots === undefined) return undefined;
    for (const machine of changed) this.#machines.set(machine.id, machine);
    admitted();
    if (this.#sums.worn) this.#recount();
    return slots.length === 0 ? untouched : { ok: true, effect: { kind: "slots", changes: slots } };
  }

  /** Another table, in which all but `changed` stay where they are if they can. */
  #relay(changed: ReadonlySet<string>, quantumUs: Micros, admitted: ReadonlyMap<string, number>): void {
    const machines = this.machines().filter((machine) => machine.kind === "dispatch-table");
    const settings = { ...this.#host, quantumUs };
    const places = placeAround(machines, this.#running.processorOf, settings) ?? admitted;
    const unchanged = new Set(machines.map(({ id }) => id).filter((id) => !changed.has(id)));
    this.#running = nextTable(this.#running, unchanged, machines, places, settings);
  }

  #recount(): void {
    const { processorOf, table } = this.#running;
    this.#sums = new LoadSums(this.machines(), processorOf, this.#host, table.quantumUs);
  }

  #beside(changed: readonly BookedMachine[]): readonly BookedMachine[] {
    const ids = new Set(changed.map((machine) => machine.id));
    return this.machines().filter((machine) => !ids.has(machine.id));
  }

  #admission(changed: readonly BookedMachine[]): Admission {
    return admission([...this.#beside(changed), ...changed], this.#host);
  }

  /**
   * Whether all of these take less than they have, in the same periods, and hold what is in them. That always fits where
   * they are, even when the set as a whole would be placed otherwise from nothing, and then not fit.
   */
  #onlyShrinks(changed: readonly BookedMachine[]): boolean {
    const settings = { ...this.#host, quantumUs: this.#running.table.quantumUs };
    return changed.every((machine) => {
      const before = this.#machines.get(machine.id);
      return (
        before !== undefined &&
        before.kind === machine.kind &&
        before.reservation.periodUs === machine.reservation.periodUs &&
        before.reservation.executionUs >= machine.reservation.executionUs &&
        JSON.stringify(before.teams) === JSON.stringify(machine.teams) &&
        formRefusal(machine) === undefined &&
        (machine.kind !== "dispatch-table" || tableRefusal(machine, settings) === undefined)
      );
    });
  }

  #asItIs(): Admission {
    const { processorOf, table } = this.#running;
    return { ok: true, quantumUs: table.quantumUs, processorOf };
  }

  /** In terms of a machine that was asked for, and with the most it could have. */
  #explained(refusal: Refusal, changed: readonly BookedMachine[]): Refusal {
    const grown = changed.filter((machine) => takesMore(machine, this.#machines.get(machine.id)));
    const asked = grown.find((machine) => machine.id === refusal.machine) ?? grown[0] ?? changed[0];
    // Neither the length of a table nor the size of teams is a matter of how much the machine itself takes.
    if (asked === undefined || refusal.code === "table-too-large" || refusal.code === "teams") return refusal;
    const others = changed.filter((machine) => machine !== asked);
    const largestFeasibleUs = largestFeasible(asked, [...this.#beside(changed), ...others], this.#host);
    return {
      ...refusal,
      machine: asked.id,
      reason:
        asked.id === refusal.machine ? refusal.reason : `with ${asked.id} as asked for, ${refusal.reason}`,
      // Of a period that cannot be, nothing is feasible.
      ...(refusal.code === "bad-reservation" && largestFeasibleUs === 0 ? {} : { largestFeasibleUs }),
    };
  }
}

/** Suspended or not makes no difference to what is reserved. */
const isReserved = (a: BookedMachine, b: BookedMachine | undefined): boolean =>
  b !== undefined &&
  a.kind === b.kind &&
  a.reservation.periodUs === b.reservation.periodUs &&
  a.reservation.executionUs === b.reservation.executionUs &&
  JSON.stringify(a.teams) === JSON.stringify(b.teams);

const takesMore = (machine: BookedMachine, before: BookedMachine | undefined): boolean =>
  before === undefined ||
  machine.reservation.executionUs / machine.reservation.periodUs >
    before.reservation.executionUs / before.reservation.periodUs;
