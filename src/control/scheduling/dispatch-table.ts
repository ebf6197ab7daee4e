import type { Micros } from "#base/units.ts";
import { fillSlots } from "./fill-slots.ts";
import { placeMachines, tableLength } from "./placement.ts";
import type { TableSettings } from "./placement.ts";
import { inQuanta } from "./quanta.ts";
import type { Refusal } from "./refusal.ts";
import type { MachineReservation, SchedulingPolicy } from "./reservation.ts";
import { divideSlots, pathsOf } from "./teams.ts";

/**
 * What one slot is given to: a machine, and in it the team at the end of `path`. That stands for the rest of it: its
 * own jobs and its teams without a reservation; teams with one have slots of their own. An empty path: the machine.
 */
export type DispatchTarget = { readonly machine: string; readonly path: readonly string[] };

/**
 * Who runs in which slot, per processor; each processor's slots repeat after their own hyperperiod. `slots[p][i]` is a
 * position in `targets`, or -1 where the processor is left to whoever else is there. Periods begin at multiples of
 * themselves: slot n since the beginning is `slots[p][n % slots[p].length]`.
 */
export type DispatchTable = {
  readonly quantumUs: Micros;
  readonly policy: SchedulingPolicy;
  readonly targets: readonly DispatchTarget[];
  readonly slots: readonly Int32Array[];
};

export type TableOutcome =
  | { readonly ok: true; readonly table: DispatchTable }
  | { readonly ok: false; readonly refusal: Refusal };

/** A table that honours every reservation in every period, in whole slots; or why there is none. */
export function buildDispatchTable(
  machines: readonly MachineReservation[],
  settings: TableSettings,
): TableOutcome {
  const placement = placeMachines(machines, settings);
  if (!placement.ok) return placement;
  return { ok: true, table: layOutTable(machines, placement.processorOf, settings) };
}

/** The table of machines that have been found to fit where they are placed. */
export function layOutTable(
  machines: readonly MachineReservation[],
  processorOf: ReadonlyMap<string, number>,
  settings: TableSettings,
): DispatchTable {
  const { quantumUs, policy, processors } = settings;
  const targets: DispatchTarget[] = [];
  const slots = processors.map((_, processor) => {
    const here = machines.filter(({ id }) => processorOf.get(id) === processor);
    const tasks = here.map((machine) => inQuanta(machine.reservation, quantumUs));
    const owners = fillSlots(tasks, tableLength(here, quantumUs), policy) ?? new Int32Array([-1]);
    const given = new Int32Array(owners.length).fill(-1);
    const slotsOf = positionsByValue(owners, here.length);
    for (const [index, machine] of here.entries()) {
      const mine = slotsOf[index] ?? [];
      const divided = divideSlots(machine, mine.length, quantumUs, policy);
      for (const [at, slot] of mine.entries()) given[slot] = targets.length + (divided[at] ?? 0);
      for (const path of pathsOf(machine)) targets.push({ machine: machine.id, path });
    }
    return given;
  });
  return { quantumUs, policy, targets, slots };
}

/** Where each of the values 0 … count - 1 stands, in order. */
function positionsByValue(values: Int32Array, count: number): readonly number[][] {
  const found: number[][] = Array.from({ length: count }, () => []);
  for (let position = 0; position < values.length; position += 1)
    found[values[position] ?? -1]?.push(position);
  return found;
}
