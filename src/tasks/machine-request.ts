import { ConsortError } from "#base/errors.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { EnforcedTeam, MachineRequest } from "#drivers/scheduling/port.ts";
import type { ProcessJob } from "./process-job.ts";
import type { Team } from "./team.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/**
 * What the scheduler of this host is asked to keep for a machine, with everything in it as it is now. Throws `unsupported`
 * for a quota of a control group that is not there.
 */
export function machineRequest(machine: VirtualTaskMachine, reservation: Reservation): MachineRequest {
  const { team, name, enforcement } = machine;
  if (enforcement === "bandwidth" && team.cgroupPath === undefined)
    throw new ConsortError(
      "unsupported",
      `Cannot keep ${name} by bandwidth: this program may not make control groups, which have the kernel's quota; wanted auto or dispatch-table`,
    );
  return {
    id: name,
    reservation,
    enforcement,
    policy: team.policy,
    ...membersOf(team),
    ...(team.cgroupPath === undefined ? {} : { cgroup: team.cgroupPath }),
  };
}

/** A process or team that has something of its own, a reservation or to wait, is a team to the scheduler. */
function membersOf(team: Team): Pick<EnforcedTeam, "jobs" | "teams"> {
  const single = team.processes.filter(standsAlone);
  return {
    jobs: team.processes.filter((process) => !standsAlone(process)).map((process) => process.jobGroup),
    teams: [...team.teams.map(teamRequest), ...single.map(processRequest)],
  };
}

const standsAlone = (process: ProcessJob): boolean => process.reservation !== undefined || process.suspended;

function teamRequest(team: Team): EnforcedTeam {
  return {
    name: team.name,
    policy: team.policy,
    ...membersOf(team),
    ...(team.reservation === undefined ? {} : { reservation: team.reservation }),
    ...(team.suspended ? { suspended: true } : {}),
    ...(team.cgroupPath === undefined ? {} : { cgroup: team.cgroupPath }),
  };
}

function processRequest(process: ProcessJob): EnforcedTeam {
  const { reservation, parts } = process;
  return {
    name: process.name,
    policy: "together",
    jobs: [process.jobGroup],
    teams: [],
    ...(reservation === undefined ? {} : { reservation }),
    ...(process.suspended ? { suspended: true } : {}),
    ...(parts.cgroup === undefined ? {} : { cgroup: parts.cgroup.path }),
  };
}
