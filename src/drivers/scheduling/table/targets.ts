import type { DispatchTable, DispatchTarget } from "#control/scheduling/dispatch-table.ts";
import type { EnforcedMachine, EnforcedTeam, JobGroup } from "../port.ts";
import type { PlacedTarget } from "./halves.ts";
import { turnsOf } from "./turns.ts";
import type { Sharing } from "./turns.ts";

type Members = Pick<EnforcedTeam, "policy" | "jobs" | "teams">;

/** What tells a target from all others, now and later. */
export const targetName = ({ machine, path }: DispatchTarget): string => [machine, ...path].join("\n");

export type Numbering = {
  readonly jobOf: (group: JobGroup) => number;
  readonly machineOf: (id: string) => number;
  readonly cursorOf: (target: string) => number;
};

/** The targets of a table, in its order, with the jobs that share the slots of each. */
export function placedTargets(
  targets: readonly DispatchTarget[],
  machines: ReadonlyMap<string, EnforcedMachine>,
  numbering: Numbering,
): readonly PlacedTarget[] {
  return targets.map((target) => {
    const machine = machines.get(target.machine);
    const members = machine === undefined ? undefined : membersAt(machine, target.path);
    return {
      machine: numbering.machineOf(target.machine),
      cursor: numbering.cursorOf(targetName(target)),
      suspended: machine === undefined || machine.suspended || isSuspendedAt(machine.teams, target.path),
      turns: members === undefined ? [] : turnsOf(sharing(members, numbering.jobOf)),
    };
  });
}

/** Of each machine that has slots, the processor they are of, as a position in the table's. */
export function columnsOf({ slots, targets }: DispatchTable): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [column, owners] of slots.entries()) {
    for (const target of new Set(owners)) {
      const machine = targets[target]?.machine;
      if (machine !== undefined) found.set(machine, column);
    }
  }
  return found;
}

/** The column that most targets have slots in, as a position in the table's. */
export function busiestColumn({ slots }: DispatchTable): number {
  const counts = slots.map((owners) => new Set(owners.filter((target) => target >= 0)).size);
  return counts.indexOf(Math.max(...counts));
}

function isSuspendedAt(teams: readonly EnforcedTeam[], path: readonly string[]): boolean {
  const team = teams.find((each) => each.name === path[0]);
  return team !== undefined && (team.suspended === true || isSuspendedAt(team.teams, path.slice(1)));
}

function membersAt(members: Members, path: readonly string[]): Members | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return members;
  const team = members.teams.find((each) => each.name === name);
  return team === undefined ? undefined : membersAt(team, rest);
}

/** Teams with a reservation have slots of their own, and no part in these. */
function sharing({ policy, jobs, teams }: Members, jobOf: (group: JobGroup) => number): Sharing {
  return {
    policy,
    jobs: jobs.map(jobOf),
    teams: teams
      .filter((team) => team.reservation === undefined && team.suspended !== true)
      .map((team) => sharing(team, jobOf)),
  };
}
