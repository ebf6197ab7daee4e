import { micros } from "#base/units.ts";
import type { Micros } from "#base/units.ts";
import { schedulingLimits } from "./limits.ts";
import { greatestCommonDivisor } from "./periodic-task.ts";
import type { MachineReservation, Reservation, TeamReservation } from "./reservation.ts";

/**
 * The longest slot in which every reservation is a whole number of slots, unless that is too short to be worth it: then
 * the shortest there is, and reservations are rounded. Depends on the set alone, not on its order.
 */
export function chooseQuantum(machines: readonly MachineReservation[]): Micros {
  let divisor = 0;
  for (const machine of machines)
    for (const { periodUs, executionUs } of reservationsOf(machine))
      divisor = greatestCommonDivisor(divisor, greatestCommonDivisor(periodUs, executionUs));
  const { quantumUsMin, quantumUsMax } = schedulingLimits;
  if (divisor === 0) return quantumUsMax;
  if (divisor <= quantumUsMin) return quantumUsMin;
  for (let parts = Math.ceil(divisor / quantumUsMax); divisor / parts >= quantumUsMin; parts += 1)
    if (divisor % parts === 0) return micros(divisor / parts);
  return quantumUsMin;
}

/** Its own and those of its teams, at any depth. */
export function reservationsOf(machine: MachineReservation): readonly Reservation[] {
  const found = [machine.reservation];
  const visit = (teams: readonly TeamReservation[]): void => {
    for (const team of teams) {
      if (team.reservation !== undefined) found.push(team.reservation);
      visit(team.teams);
    }
  };
  visit(machine.teams);
  return found;
}
