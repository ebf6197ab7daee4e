import type { TeamPolicy } from "#model/ensemble.ts";
import type { ProcessFactory } from "./process-factory.ts";
import { Team } from "./team.ts";
import { TeamScheduler } from "./team-scheduler.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";
import type { VtmScheduler } from "./vtm-scheduler.ts";

/** Builds teams, from processes. */
export class TeamFactory {
  readonly #machines: VtmScheduler;
  readonly #processes: ProcessFactory;
  #created = 0;

  constructor(machines: VtmScheduler, processes: ProcessFactory) {
    this.#machines = machines;
    this.#processes = processes;
  }

  /** Without a parent: the machine's own. It is in nothing yet. */
  create(name: string, policy: TeamPolicy, machine: VirtualTaskMachine, parent?: Team): Team {
    this.#created += 1;
    const above = parent === undefined ? this.#processes.groupsPath : parent.cgroupPath;
    const own = parent === undefined ? name : `team-${this.#created}`;
    return new Team(name, policy, {
      machine,
      ...(parent === undefined ? {} : { parent }),
      ...(above === undefined ? {} : { cgroupPath: `${above}/${own}` }),
      schedulerOf: (team) => new TeamScheduler(team, this.#machines, this.#processes, this),
    });
  }
}
