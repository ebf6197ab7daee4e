import type { Reservation } from "#control/scheduling/reservation.ts";
import type { TeamPolicy } from "#model/ensemble.ts";
import type { ProcessJob } from "./process-job.ts";
import type { AbstractResource, Job } from "./resource.ts";
import type { SchedParam } from "./sched-param.ts";
import type { TeamScheduler } from "./team-scheduler.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/** What is directly in a team. */
export type TeamPart = ProcessJob | Team;

export type TeamPlace = {
  readonly machine: VirtualTaskMachine;
  /** Absent: it is the machine's own, and has what the machine has. */
  readonly parent?: Team;
  /** Path of the control group its processes' groups are below; absent where there are none. */
  readonly cgroupPath?: string;
  readonly schedulerOf: (team: Team) => TeamScheduler;
};

/** Processes and teams that share a part of a machine's reservation, or what is left of it. */
export class Team implements Job {
  readonly kind = "team";
  readonly level = "team";
  readonly name: string;
  readonly machine: VirtualTaskMachine;
  readonly parent: Team | undefined;
  readonly cgroupPath: string | undefined;
  readonly scheduler: TeamScheduler;
  /** Kept by its scheduler and that of its parent. */
  readonly processes: ProcessJob[] = [];
  readonly teams: Team[] = [];
  policy: TeamPolicy;
  reservation: Reservation | undefined;
  suspended = false;

  constructor(name: string, policy: TeamPolicy, place: TeamPlace) {
    this.name = name;
    this.policy = policy;
    this.machine = place.machine;
    this.parent = place.parent;
    this.cgroupPath = place.cgroupPath;
    this.scheduler = place.schedulerOf(this);
  }

  /** Its own processes, and those of its teams. */
  allProcesses(): readonly ProcessJob[] {
    return [...this.processes, ...this.teams.flatMap((team) => team.allProcesses())];
  }

  higher(): readonly AbstractResource[] {
    return [this.parent ?? this.machine];
  }

  lower(): readonly AbstractResource[] {
    return [...this.teams, ...this.processes];
  }

  getSchedParam(): Reservation | undefined {
    return this.parent === undefined ? this.machine.getSchedParam() : this.reservation;
  }

  setSchedParam(param: SchedParam): void {
    if (this.parent === undefined) this.machine.setSchedParam(param);
    else this.parent.scheduler.reserve(this, param);
  }
}
