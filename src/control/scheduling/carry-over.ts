import { RunningTable } from "./adapt-table.ts";
import { layOutTable } from "./dispatch-table.ts";
import type { DispatchTable, DispatchTarget } from "./dispatch-table.ts";
import { tableLength } from "./placement.ts";
import type { TableSettings } from "./placement.ts";
import type { MachineReservation } from "./reservation.ts";
import { pathsOf } from "./teams.ts";

/**
 * The next table when machines come, go or have other periods. Those that stay as they are keep their slots wherever the
 * others can be given free ones; else all of it is laid out anew. The machines must have been found to fit where they
 * are placed.
 */
export function nextTable(
  before: RunningTable,
  unchanged: ReadonlySet<string>,
  machines: readonly MachineReservation[],
  processorOf: ReadonlyMap<string, number>,
  settings: TableSettings,
): RunningTable {
  const staying = (id: string): boolean =>
    unchanged.has(id) && before.processorOf.get(id) === processorOf.get(id);
  const others = machines.filter((machine) => !staying(machine.id));
  if (before.table.quantumUs === settings.quantumUs) {
    const kept = carriedOver(before.table, machines, processorOf, staying, settings);
    const next = new RunningTable(machines, processorOf, kept, new Set(others.map((machine) => machine.id)));
    const added = next.adapt(new Map(others.map(({ id, reservation }) => [id, reservation])));
    if (added !== undefined) return next;
  }
  return new RunningTable(machines, processorOf, layOutTable(machines, processorOf, settings));
}

/**
 * The slots of those who stay, in a table of the new length. A table is repeated or cut to any length that is a multiple
 * of the periods of those in it without harm: their periods begin and end where they did.
 */
function carriedOver(
  before: DispatchTable,
  machines: readonly MachineReservation[],
  processorOf: ReadonlyMap<string, number>,
  staying: (id: string) => boolean,
  settings: TableSettings,
): DispatchTable {
  const targets: readonly DispatchTarget[] = machines.flatMap((machine) =>
    pathsOf(machine).map((path) => ({ machine: machine.id, path })),
  );
  const positionOf = new Map(targets.map((target, position) => [keyOf(target), position]));
  const renumbered = before.targets.map((target) =>
    staying(target.machine) ? (positionOf.get(keyOf(target)) ?? -1) : -1,
  );
  const slots = before.slots.map((old, processor) => {
    const here = machines.filter(({ id }) => processorOf.get(id) === processor);
    const given = new Int32Array(tableLength(here, settings.quantumUs));
    for (let slot = 0; slot < given.length; slot += 1)
      given[slot] = renumbered[old[slot % old.length] ?? -1] ?? -1;
    return given;
  });
  return { quantumUs: settings.quantumUs, policy: settings.policy, targets, slots };
}

const keyOf = ({ machine, path }: DispatchTarget): string => JSON.stringify([machine, ...path]);
