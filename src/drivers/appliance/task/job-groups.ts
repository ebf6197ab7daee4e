import type { TeamPolicy, TeamSpec } from "#model/ensemble.ts";
import type { EnforcedTeam, JobGroup, MachineRequest } from "#drivers/scheduling/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

/**
 * The control groups of one machine, below its slot's. Processes are in the leaves only, as v2 wants it:
 *
 *   task-7 ─┬─ supervisor               never stopped by time slots: it has to obey the host's lease
 *           ├─ main                     the command, and what is run beside it
 *           └─ team-0 ─┬─ jobs ─┬─ job-0
 *                      │        └─ job-1
 *                      └─ team-0 ─── jobs ─── job-0
 *
 * Teams and jobs go by their numbers, as their names are the user's. A team "together" is dispatched by its group
 * `jobs` as one, one "round-robin" job by job: so its policy changes without anybody moving.
 */
export const supervisorGroup = "supervisor";
export const mainGroup = "main";

/** A program of a team: `group` is below the slot's. */
export type JobPlace = {
  /** Names from the outermost team on, as in "video/encoders". */
  readonly team: string;
  /** Within its team, from 1: for people. */
  readonly number: number;
  readonly group: string;
  readonly command: readonly string[];
};

export function jobPlaces(
  teams: readonly TeamSpec[] | undefined,
  outer = { name: "", group: "" },
): JobPlace[] {
  return (teams ?? []).flatMap((team, index) => {
    const own = { name: `${outer.name}${team.name}`, group: `${outer.group}team-${index}` };
    return [
      ...team.jobs.map((command, job) => ({
        team: own.name,
        number: job + 1,
        group: `${own.group}/jobs/job-${job}`,
        command,
      })),
      ...jobPlaces(team.teams, { name: `${own.name}/`, group: `${own.group}/` }),
    ];
  });
}

/** What the scheduler is to keep; undefined where no CPU time is reserved. `slot` is the path of the slot's group. */
export function machineRequest(plan: AppliancePlan, slot: string): MachineRequest | undefined {
  if (plan.cpu?.kind !== "reservation") return undefined;
  const { periodUs, executionUs } = plan.cpu;
  return {
    id: plan.id,
    reservation: { periodUs, executionUs },
    enforcement: plan.enforcement ?? "auto",
    policy: "together",
    jobs: [{ kind: "cgroup", path: `${slot}/${mainGroup}` }],
    teams: (plan.teams ?? []).map((team, index) => enforcedTeam(team, `${slot}/team-${index}`)),
    cgroup: slot,
  };
}

function enforcedTeam({ name, cpu, policy, jobs, teams }: TeamSpec, group: string): EnforcedTeam {
  return {
    name,
    policy,
    jobs: jobs.length === 0 ? [] : jobGroups(policy, `${group}/jobs`, jobs.length),
    teams: teams.map((team, index) => enforcedTeam(team, `${group}/team-${index}`)),
    cgroup: group,
    ...(cpu === undefined ? {} : { reservation: { periodUs: cpu.periodUs, executionUs: cpu.executionUs } }),
  };
}

function jobGroups(policy: TeamPolicy, group: string, count: number): JobGroup[] {
  if (policy === "together") return [{ kind: "cgroup", path: group }];
  return Array.from({ length: count }, (_, index) => ({ kind: "cgroup", path: `${group}/job-${index}` }));
}
