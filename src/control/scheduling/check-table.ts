import type { DispatchTable, DispatchTarget } from "./dispatch-table.ts";
import type { MachineReservation, ProcessorCapacity, Reservation, TeamReservation } from "./reservation.ts";

/**
 * Counts, period by period, whether a table gives everyone what is reserved; knows nothing of how tables are made.
 * Answers with what is wrong, one line each; none when all is right.
 */
export function checkTable(
  machines: readonly MachineReservation[],
  table: DispatchTable,
  processors: readonly ProcessorCapacity[],
): readonly string[] {
  const problems: string[] = [];
  if (table.slots.length !== processors.length)
    problems.push(`slots of ${table.slots.length} processors, there are ${processors.length}`);
  problems.push(...strangers(machines, table), ...overbooked(table, processors));
  for (const machine of machines) {
    const homes = [...table.slots.keys()].filter((processor) => has(table, processor, machine.id));
    if (homes.length !== 1) problems.push(`${machine.id} runs on ${homes.length} processors`);
    const slots = table.slots[homes[0] ?? 0] ?? new Int32Array(0);
    const period = Math.floor(machine.reservation.periodUs / table.quantumUs);
    const all = (target: DispatchTarget): boolean => target.machine === machine.id;
    problems.push(
      ...missed(machine.id, slots, table, { period, ...slotsFor(machine.reservation, table) }, all),
    );
    problems.push(...missedTeams(machine, slots, table, period));
  }
  return problems;
}

const slotsFor = (reservation: Reservation, table: DispatchTable): { readonly wanted: number } => ({
  wanted: Math.ceil(reservation.executionUs / table.quantumUs),
});

const targetAt = (table: DispatchTable, slot: number): DispatchTarget | undefined =>
  slot < 0 ? undefined : table.targets[slot];

const has = (table: DispatchTable, processor: number, machine: string): boolean =>
  (table.slots[processor] ?? []).some((slot) => targetAt(table, slot)?.machine === machine);

function strangers(machines: readonly MachineReservation[], table: DispatchTable): readonly string[] {
  const ids = new Set(machines.map((machine) => machine.id));
  const given = new Set(table.slots.flatMap((slots) => [...slots]));
  return [...given].flatMap((slot) => {
    const target = targetAt(table, slot);
    if (slot === -1 || (target !== undefined && ids.has(target.machine))) return [];
    return [`slots are given to ${target?.machine ?? `target ${slot}`}, which is not here`];
  });
}

function overbooked(table: DispatchTable, processors: readonly ProcessorCapacity[]): readonly string[] {
  return table.slots.flatMap((slots, processor) => {
    const given = slots.reduce((sum, slot) => (slot === -1 ? sum : sum + 1), 0);
    const milli = processors[processor]?.milli ?? 0;
    return given * 1000 > milli * slots.length
      ? [`processor ${processor} has ${given} of ${slots.length} slots reserved, more than ${milli} of 1000`]
      : [];
  });
}

/** In each period beginning at a multiple of `period`, exactly `wanted` slots for those targets. */
function missed(
  name: string,
  slots: Int32Array,
  table: DispatchTable,
  { period, wanted }: { readonly period: number; readonly wanted: number },
  mine: (target: DispatchTarget) => boolean,
): readonly string[] {
  if (period < 1 || slots.length % period !== 0)
    return [`${name}: ${slots.length} slots are no multiple of its period of ${period}`];
  const problems: string[] = [];
  for (let begin = 0; begin < slots.length; begin += period) {
    let got = 0;
    for (let slot = begin; slot < begin + period; slot += 1) {
      const target = targetAt(table, slots[slot] ?? -1);
      if (target !== undefined && mine(target)) got += 1;
    }
    if (got !== wanted) problems.push(`${name}: ${got} slots of ${wanted} from slot ${begin} on`);
  }
  return problems;
}

function missedTeams(
  machine: MachineReservation,
  slots: Int32Array,
  table: DispatchTable,
  machinePeriod: number,
): readonly string[] {
  const visit = (
    teams: readonly TeamReservation[],
    above: readonly string[],
    parentPeriod: number,
  ): readonly string[] =>
    teams.flatMap((team) => {
      if (team.reservation === undefined) return [];
      const path = [...above, team.name];
      const rounded = Math.floor(team.reservation.periodUs / table.quantumUs);
      const period = rounded - (rounded % parentPeriod);
      const mine = (target: DispatchTarget): boolean =>
        target.machine === machine.id && path.every((name, level) => target.path[level] === name);
      const name = [machine.id, ...path].join("/");
      return [
        ...missed(name, slots, table, { period, ...slotsFor(team.reservation, table) }, mine),
        ...visit(team.teams, path, period),
      ];
    });
  return visit(machine.teams, [], machinePeriod);
}
