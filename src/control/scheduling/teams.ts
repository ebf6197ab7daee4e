import type { Micros } from "#base/units.ts";
import { fillSlots } from "./fill-slots.ts";
import { schedulingLimits } from "./limits.ts";
import { utilisationGrace, utilisationOf, utilisationOfAll } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import { ProcessorLoad } from "./processor-load.ts";
import { inQuanta, teamInQuanta } from "./quanta.ts";
import { durationText } from "./refusal.ts";
import type { MachineReservation, Reservation, SchedulingPolicy, TeamReservation } from "./reservation.ts";

/**
 * The second level of scheduling. A machine of C slots in every P is, seen from inside, a processor on which C slots
 * pass in every P of the clock. As teams' periods are multiples of P, a team's c slots in every k·P are a task of period
 * k·C on it, and the tests and the way of filling slots are those of the first level. Teams within teams likewise.
 */

type ReservedTeam = TeamReservation & { readonly reservation: Reservation };

const reserved = (teams: readonly TeamReservation[]): readonly ReservedTeam[] =>
  teams.filter((team): team is ReservedTeam => team.reservation !== undefined);

/** Teams as tasks of the time their parent has. */
const asTasks = (
  teams: readonly ReservedTeam[],
  parent: PeriodicTask,
  quantumUs: Micros,
): readonly PeriodicTask[] =>
  teams.map((team) => {
    const { period, execution } = teamInQuanta(team.reservation, parent.period, quantumUs);
    return { period: (period / parent.period) * parent.execution, execution };
  });

/** Why the teams of a machine cannot have what is reserved for them within it; undefined: they can. */
export function teamsProblem(
  machine: MachineReservation,
  kept: { readonly quantumUs: Micros; readonly policy: SchedulingPolicy } | undefined,
): string | undefined {
  const problem = (
    parent: PeriodicTask,
    teams: readonly TeamReservation[],
    depth: number,
  ): string | undefined => {
    if (depth > schedulingLimits.teamDepthMax)
      return `teams are nested deeper than ${schedulingLimits.teamDepthMax} levels`;
    const parts = reserved(teams);
    const names = new Set(teams.map((team) => team.name));
    if (names.size < teams.length) return "two teams in the same place have the same name";
    const found =
      kept === undefined
        ? sharesProblem(parent, parts)
        : slotsProblem(parent, parts, kept.quantumUs, kept.policy);
    if (found !== undefined) return found;
    for (const team of teams) {
      const own =
        team.reservation === undefined
          ? undefined
          : kept === undefined
            ? { period: team.reservation.periodUs, execution: team.reservation.executionUs }
            : teamInQuanta(team.reservation, parent.period, kept.quantumUs);
      if (own === undefined && reserved(team.teams).length > 0)
        return `team ${team.name} has no reservation of which its teams could have a part`;
      const within = own === undefined ? undefined : problem(own, team.teams, depth + 1);
      if (within !== undefined) return `in team ${team.name}, ${within}`;
    }
    return undefined;
  };
  const { periodUs, executionUs } = machine.reservation;
  const whole =
    kept === undefined
      ? { period: periodUs, execution: executionUs }
      : inQuanta(machine.reservation, kept.quantumUs);
  return problem(whole, machine.teams, 1);
}

/** Kept by limits over periods of their own: only the sum matters. */
function sharesProblem(parent: PeriodicTask, teams: readonly ReservedTeam[]): string | undefined {
  const tasks = teams.map(({ reservation }) => ({
    period: reservation.periodUs,
    execution: reservation.executionUs,
  }));
  return utilisationOfAll(tasks) > utilisationOf(parent) + utilisationGrace ? exceeds(teams) : undefined;
}

function slotsProblem(
  parent: PeriodicTask,
  teams: readonly ReservedTeam[],
  quantumUs: Micros,
  policy: SchedulingPolicy,
): string | undefined {
  const load = new ProcessorLoad({ milli: 1000 }, policy);
  const tasks = asTasks(teams, parent, quantumUs);
  for (const [index, task] of tasks.entries()) {
    const team = teams[index];
    if (task.period === 0 && team !== undefined)
      return `team ${team.name} has a period of ${durationText(team.reservation.periodUs)}, it must be no shorter than the ${durationText(parent.period * quantumUs)} of what it is in`;
    if (!load.fits(task)) return exceeds(teams);
    load.add(task);
  }
  return undefined;
}

const exceeds = (teams: readonly ReservedTeam[]): string =>
  `its teams (${teams.map((team) => team.name).join(", ")}) have more reserved than it has itself`;

/** Everything of one machine that slots are given to: itself (its rest), then its reserved teams, parents first. */
export function pathsOf(machine: MachineReservation): readonly (readonly string[])[] {
  const paths: (readonly string[])[] = [[]];
  const visit = (teams: readonly TeamReservation[], above: readonly string[]): void => {
    for (const team of reserved(teams)) {
      const path = [...above, team.name];
      paths.push(path);
      visit(team.teams, path);
    }
  };
  visit(machine.teams, []);
  return paths;
}

/**
 * Divides the slots a machine has in its table among its reserved teams: for each of `count` slots, in order of time, a
 * position in `pathsOf(machine)`. The teams must have been found to fit. `count` covers a multiple of all their periods.
 */
export function divideSlots(
  machine: MachineReservation,
  count: number,
  quantumUs: Micros,
  policy: SchedulingPolicy,
): Int32Array {
  const divided = new Int32Array(count);
  let position = 0;
  const divide = (teams: readonly TeamReservation[], parent: PeriodicTask, mine: readonly number[]): void => {
    const parts = reserved(teams);
    if (parts.length === 0) return;
    const filled = fillSlots(asTasks(parts, parent, quantumUs), mine.length, policy);
    for (const [index, team] of parts.entries()) {
      position += 1;
      const theirs = mine.filter((_, at) => filled?.[at] === index);
      for (const slot of theirs) divided[slot] = position;
      divide(team.teams, teamInQuanta(team.reservation, parent.period, quantumUs), theirs);
    }
  };
  divide(machine.teams, inQuanta(machine.reservation, quantumUs), [...divided.keys()]);
  return divided;
}
