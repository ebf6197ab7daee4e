import type { EnforcedMachine, EnforcedTeam, JobGroup } from "./port.ts";

/** All jobs of a machine or team, its own before those of its teams. */
export function groupsOf({ jobs, teams }: Pick<EnforcedTeam, "jobs" | "teams">): readonly JobGroup[] {
  return [...jobs, ...teams.flatMap(groupsOf)];
}

/** Those that are not to run: of suspended teams, or all. */
export function suspendedJobs(machine: EnforcedMachine): readonly JobGroup[] {
  if (machine.suspended) return groupsOf(machine);
  const below = (team: EnforcedTeam): readonly JobGroup[] =>
    team.suspended === true ? groupsOf(team) : team.teams.flatMap(below);
  return machine.teams.flatMap(below);
}

/** What tells a job from all others. */
export function jobKey(group: JobGroup): string {
  if (group.kind === "cgroup") return group.path;
  return `${group.kind === "process" ? group.pid : group.tid} ${group.startTime}`;
}
