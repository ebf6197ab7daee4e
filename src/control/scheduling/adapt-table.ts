import type { DispatchTable } from "./dispatch-table.ts";
import { FreeSlots } from "./free-slots.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import { inQuanta } from "./quanta.ts";
import type { MachineReservation, Reservation } from "./reservation.ts";
import { divideSlots } from "./teams.ts";

/** `target`: a position in the table's targets, or -1. */
export type SlotChange = { readonly processor: number; readonly slot: number; readonly target: number };

/** One machine in a table. `slots` are its own, in order. */
type Entry = {
  machine: MachineReservation;
  task: PeriodicTask;
  readonly processor: number;
  readonly slots: number[];
  readonly firstTarget: number;
  readonly divided: boolean;
};

/** A machine that is to have fewer slots: how many too many it has left in each of its periods. */
type Shrinking = { readonly entry: Entry; readonly surplus: Int32Array; left: number };

type Move = {
  readonly slot: number;
  readonly from: Entry | undefined;
  readonly to: Entry | undefined;
  readonly processor: number;
};

/**
 * A dispatch table in use, which changes in place. It remembers whose slots are where; so moving execution time from one
 * machine to another costs what is moved, and not what is in the table.
 */
export class RunningTable {
  readonly table: DispatchTable;
  readonly processorOf: ReadonlyMap<string, number>;
  readonly #entries = new Map<string, Entry>();
  readonly #free: readonly FreeSlots[];

  /** `table`: of machines that fit where they are placed. Those that are `absent` from it have no slots yet. */
  constructor(
    machines: readonly MachineReservation[],
    processorOf: ReadonlyMap<string, number>,
    table: DispatchTable,
    absent: ReadonlySet<string> = new Set(),
  ) {
    this.table = table;
    this.processorOf = processorOf;
    this.#free = table.slots.map((slots) => new FreeSlots(slots.length));
    const firstTargets = new Map<string, number>();
    for (const [index, { machine, path }] of table.targets.entries())
      if (path.length === 0) firstTargets.set(machine, index);
    for (const machine of machines) {
      const task = inQuanta(machine.reservation, table.quantumUs);
      this.#entries.set(machine.id, {
        machine,
        task: absent.has(machine.id) ? { ...task, execution: 0 } : task,
        processor: processorOf.get(machine.id) ?? 0,
        slots: [],
        firstTarget: firstTargets.get(machine.id) ?? -1,
        divided: machine.teams.some((team) => team.reservation !== undefined),
      });
    }
    const owners = table.targets.map((target) => this.#entries.get(target.machine));
    for (const [processor, slots] of table.slots.entries())
      for (let slot = 0; slot < slots.length; slot += 1) {
        const owner = owners[slots[slot] ?? -1];
        if (owner === undefined) this.#free[processor]?.add(slot);
        else owner.slots.push(slot);
      }
  }

  /**
   * Gives machines other execution times in the periods they have, changing as few slots as it can. Undefined, and
   * nothing changed, when a period is another one, or the slots that could be moved are not where they are needed:
   * then the table has to be laid out anew.
   */
  adapt(changes: ReadonlyMap<string, Reservation>): readonly SlotChange[] | undefined {
    const wanted: {
      readonly entry: Entry;
      readonly task: PeriodicTask;
      readonly reservation: Reservation;
    }[] = [];
    for (const [id, reservation] of changes) {
      const entry = this.#entries.get(id);
      const task = inQuanta(reservation, this.table.quantumUs);
      if (entry === undefined || task.period !== entry.task.period) return undefined;
      wanted.push({ entry, task, reservation });
    }
    const moves: Move[] = [];
    const shrinking = wanted
      .filter(({ entry, task }) => task.execution < entry.task.execution)
      .map(({ entry, task }) => this.#shrinking(entry, task));
    const growing = wanted.filter(({ entry, task }) => task.execution > entry.task.execution);
    growing.sort((a, b) => a.task.period - b.task.period);
    for (const { entry, task } of growing)
      if (!this.#grow(entry, task.execution - entry.task.execution, shrinking, moves)) {
        for (const move of moves.reverse()) this.#give(move.slot, move.processor, move.to, move.from);
        return undefined;
      }
    for (const one of shrinking) this.#release(one, moves);
    for (const { entry, task, reservation } of wanted) {
      entry.task = task;
      entry.machine = { ...entry.machine, reservation };
    }
    return this.#written(
      moves,
      wanted.map(({ entry }) => entry),
    );
  }

  #shrinking(entry: Entry, { execution, period }: PeriodicTask): Shrinking {
    const periods = (this.table.slots[entry.processor]?.length ?? period) / period;
    const less = entry.task.execution - execution;
    return { entry, surplus: new Int32Array(periods).fill(less), left: less * periods };
  }

  /** `more` slots in each of its periods: first those that others have too many, then free ones. */
  #grow(entry: Entry, more: number, shrinking: readonly Shrinking[], moves: Move[]): boolean {
    const length = this.table.slots[entry.processor]?.length ?? 0;
    const free = this.#free[entry.processor];
    const givers = shrinking.filter((one) => one.left > 0 && one.entry.processor === entry.processor);
    for (let begin = 0; begin < length; begin += entry.task.period) {
      const end = begin + entry.task.period;
      let missing = more;
      for (const giver of givers) missing -= this.#take(giver, begin, end, missing, entry, moves);
      for (; missing > 0; missing -= 1) {
        const slot = free?.first(begin, end) ?? -1;
        if (slot < 0) return false;
        this.#move(slot, entry.processor, undefined, entry, moves);
      }
    }
    return true;
  }

  /** Takes up to `most` slots between `begin` and `end` from one that has too many; tells how many. */
  #take(giver: Shrinking, begin: number, end: number, most: number, to: Entry, moves: Move[]): number {
    const { slots, task, processor } = giver.entry;
    let taken = 0;
    let at = firstNotBefore(slots, begin);
    while (taken < most && giver.left > 0) {
      const slot = slots[at];
      if (slot === undefined || slot >= end) break;
      const period = Math.floor(slot / task.period);
      const surplus = giver.surplus[period] ?? 0;
      if (surplus === 0) {
        at += 1;
        continue;
      }
      giver.surplus[period] = surplus - 1;
      giver.left -= 1;
      this.#move(slot, processor, giver.entry, to, moves);
      taken += 1;
    }
    return taken;
  }

  /** What nobody took becomes free, from the end of each period. */
  #release(giver: Shrinking, moves: Move[]): void {
    const { slots, task, processor } = giver.entry;
    for (let period = 0; period < giver.surplus.length && giver.left > 0; period += 1)
      for (let left = giver.surplus[period] ?? 0; left > 0; left -= 1) {
        const slot = slots[firstNotBefore(slots, (period + 1) * task.period) - 1];
        if (slot === undefined) break;
        giver.left -= 1;
        this.#move(slot, processor, giver.entry, undefined, moves);
      }
  }

  #move(
    slot: number,
    processor: number,
    from: Entry | undefined,
    to: Entry | undefined,
    moves: Move[],
  ): void {
    this.#give(slot, processor, from, to);
    moves.push({ slot, processor, from, to });
  }

  #give(slot: number, processor: number, from: Entry | undefined, to: Entry | undefined): void {
    if (from === undefined) this.#free[processor]?.remove(slot);
    else from.slots.splice(firstNotBefore(from.slots, slot), 1);
    if (to === undefined) this.#free[processor]?.add(slot);
    else to.slots.splice(firstNotBefore(to.slots, slot), 0, slot);
  }

  /** Writes what has been moved into the table, and divides anew what its teams have of a machine that changed. */
  #written(moves: readonly Move[], changed: readonly Entry[]): readonly SlotChange[] {
    const changes: SlotChange[] = [];
    const write = (processor: number, slot: number, target: number): void => {
      const slots = this.table.slots[processor];
      if (slots === undefined || slots[slot] === target) return;
      slots[slot] = target;
      changes.push({ processor, slot, target });
    };
    for (const { processor, slot, to } of moves)
      if (to?.divided !== true) write(processor, slot, to?.firstTarget ?? -1);
    const { quantumUs, policy } = this.table;
    for (const { divided, machine, slots, processor, firstTarget } of changed) {
      if (!divided) continue;
      const parts = divideSlots(machine, slots.length, quantumUs, policy);
      for (const [at, slot] of slots.entries()) write(processor, slot, firstTarget + (parts[at] ?? 0));
    }
    return changes;
  }
}

/** Position of the first of the sorted `slots` that is not before `slot`. */
function firstNotBefore(slots: readonly number[], slot: number): number {
  let [low, high] = [0, slots.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((slots[middle] ?? 0) < slot) low = middle + 1;
    else high = middle;
  }
  return low;
}
