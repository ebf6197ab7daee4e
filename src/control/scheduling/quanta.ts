import type { Micros } from "#base/units.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import type { MachineReservation, Reservation, TeamReservation } from "./reservation.ts";

/**
 * A reservation in slots of a dispatch table: execution rounded up, the period down. What is kept is that: no less in
 * each of the rounded periods, and so no smaller a share of the processor. Where the period is no whole number of slots,
 * a period of the asked length may lie across two rounded ones, late in the first and early in the second, and see less.
 * A period shorter than a slot becomes 0, which no table can keep.
 */
export function inQuanta(reservation: Reservation, quantumUs: Micros): PeriodicTask {
  return {
    period: Math.floor(reservation.periodUs / quantumUs),
    execution: Math.ceil(reservation.executionUs / quantumUs),
  };
}

/** A team's, whose period is also rounded down to a multiple of its parent's (in slots): it gets a part of each of those. */
export function teamInQuanta(
  reservation: Reservation,
  parentPeriod: number,
  quantumUs: Micros,
): PeriodicTask {
  const { period, execution } = inQuanta(reservation, quantumUs);
  return { period: Math.floor(period / parentPeriod) * parentPeriod, execution };
}

/** A machine's period and those of all its teams, in slots: its part of a table repeats after a multiple of all. */
export function periodsOf(machine: MachineReservation, quantumUs: Micros): readonly number[] {
  const own = inQuanta(machine.reservation, quantumUs).period;
  const periods = [own];
  const visit = (teams: readonly TeamReservation[], parentPeriod: number): void => {
    for (const { reservation, teams: within } of teams) {
      if (reservation === undefined) continue;
      const { period } = teamInQuanta(reservation, parentPeriod, quantumUs);
      periods.push(period);
      visit(within, period);
    }
  };
  visit(machine.teams, own);
  return periods;
}
