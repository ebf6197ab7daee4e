import { micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { DeadlineTimes } from "../kernel/calls.ts";
import type { EnforcedMachine, EnforcedTeam, JobGroup } from "../port.ts";

/** Jobs that share one reservation. */
export type Part = { readonly reservation: Reservation; readonly jobs: readonly JobGroup[] };

/** The kernel takes no shorter runtime, and no period of more than about a second is of use. */
const runtimeUsMin = 2;

/**
 * A machine's reservation, divided: teams with a reservation have theirs, and the machine's own jobs and its other
 * teams what these leave, in the machine's period.
 */
export function partsOf(machine: EnforcedMachine): readonly Part[] {
  return divided(machine.reservation, machine);
}

function divided(whole: Reservation, members: Pick<EnforcedTeam, "jobs" | "teams">): readonly Part[] {
  const inner: Part[] = [];
  const jobs: JobGroup[] = [...members.jobs];
  let taken = 0;
  const addTeam = (team: EnforcedTeam): void => {
    if (team.reservation !== undefined) {
      taken += (team.reservation.executionUs / team.reservation.periodUs) * whole.periodUs;
      inner.push(...divided(team.reservation, team));
      return;
    }
    jobs.push(...team.jobs);
    for (const each of team.teams) addTeam(each);
  };
  for (const team of members.teams) addTeam(team);
  const rest = { periodUs: whole.periodUs, executionUs: micros(Math.max(0, whole.executionUs - taken)) };
  return jobs.length === 0 ? inner : [{ reservation: rest, jobs }, ...inner];
}

/** What one of `threads` threads gets of a reservation. */
export function shareOf({ executionUs, periodUs }: Reservation, threads: number): DeadlineTimes {
  return { runtimeUs: Math.max(runtimeUsMin, Math.floor(executionUs / threads)), periodUs };
}
