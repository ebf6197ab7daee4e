import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import { micros } from "#base/units.ts";
import { durationText } from "#control/scheduling/refusal.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import { teamPolicies } from "#model/ensemble.ts";
import type { TeamPolicy } from "#model/ensemble.ts";
import type { Scheduler } from "./manager.ts";
import { mustBeOneOf, resourceName, resourceNameRule } from "./one-of.ts";
import type { ProcessFactory, StartSettings } from "./process-factory.ts";
import { mustHold } from "./process-job.ts";
import type { ProcessJob } from "./process-job.ts";
import { reservationFrom } from "./sched-param.ts";
import type { SchedParam } from "./sched-param.ts";
import type { TeamFactory } from "./team-factory.ts";
import type { Team, TeamPart } from "./team.ts";
import type { VtmScheduler } from "./vtm-scheduler.ts";

export type TeamSettings = { readonly policy?: TeamPolicy; readonly cpu?: SchedParam };

/**
 * The second level of scheduling: shares what one team has among its processes and the teams in it. Its parts have
 * reservations within the team's, or take turns in what is left of it, as its policy says.
 */
export class TeamScheduler implements Scheduler<TeamPart, SchedParam, TeamPolicy, readonly TeamPart[]> {
  readonly #team: Team;
  readonly #machines: VtmScheduler;
  readonly #processes: ProcessFactory;
  readonly #teams: TeamFactory;

  constructor(team: Team, machines: VtmScheduler, processes: ProcessFactory, teams: TeamFactory) {
    this.#team = team;
    this.#machines = machines;
    this.#processes = processes;
    this.#teams = teams;
  }

  admit(part: TeamPart, param: SchedParam): void {
    this.#own(part);
    const reservation = this.#within(part, param);
    this.#orLargest(part, reservation, () => this.#admitWith(part, reservation));
  }

  reserve(part: TeamPart, param: SchedParam): void {
    this.#own(part);
    const reservation = this.#within(part, param);
    this.#orLargest(part, reservation, () => this.#setAll(new Map([[part, reservation]])));
  }

  expel(part: TeamPart): void {
    this.#own(part);
    this.#setAll(new Map([[part, undefined]]));
  }

  adapt(changes: ReadonlyMap<TeamPart, SchedParam>): void {
    for (const part of changes.keys()) this.#own(part);
    this.#setAll(new Map([...changes].map(([part, param]) => [part, this.#within(part, param)])));
  }

  getResources(): readonly TeamPart[] {
    return [...this.#team.teams, ...this.#team.processes];
  }

  /**
   * A process that runs already, by its number, or as a job that has left its team: it joins, with all its threads, and
   * goes on when the machine ends. Or a single thread of a process, by its own number: it joins without the others, and
   * goes back to them. Throws `conflict` when it is in a machine. A team stays where it was created.
   */
  addResource(added: TeamPart | number): ProcessJob {
    const adopted = this.#adopt(added);
    try {
      this.#add(adopted);
    } catch (cause) {
      this.#processes.letGo(adopted);
      throw cause;
    }
    return adopted;
  }

  /** Starts a program in this team. Resolves when it runs. */
  async start(command: readonly string[], settings: StartSettings = {}): Promise<ProcessJob> {
    this.#mustBeThere(`start ${command[0] ?? "a process"}`);
    const add = (job: ProcessJob): void => this.#add(job);
    const started = await this.#processes.start(command, this.#team, settings, add);
    this.#processes.whenEnded(started, () => this.#forget(started));
    return started;
  }

  /** A team within this one. Throws `unsatisfiable` when its reservation is not admitted. */
  createTeam(name: string, { policy = "round-robin", cpu }: TeamSettings = {}): Team {
    mustBeOneOf("policy", policy, teamPolicies);
    this.#mustBeThere(`create team ${name}`);
    if (!resourceName.test(name))
      throw new ConsortError("bad_input", `Cannot create team "${name}": ${resourceNameRule}`);
    const team = this.#teams.create(name, policy, this.#team.machine, this.#team);
    const reservation = cpu === undefined ? undefined : this.#within(team, cpu);
    this.#processes.createGroups(team);
    try {
      this.#add(team);
      if (reservation !== undefined) this.#reserveFirst(team, reservation);
    } catch (cause) {
      this.#processes.removeGroups(team);
      throw cause;
    }
    return team;
  }

  /** Out of the machine, and on without limits; a team with all that is in it. */
  removeResource(part: TeamPart): void {
    this.#own(part);
    this.#drop(part);
    for (const process of part.kind === "team" ? part.allProcesses() : [part]) this.#processes.letGo(process);
  }

  getPolicy(): TeamPolicy {
    return this.#team.policy;
  }

  setPolicy(policy: TeamPolicy): void {
    mustBeOneOf("policy", policy, teamPolicies);
    const before = this.#team.policy;
    this.#renew(
      () => (this.#team.policy = policy),
      () => (this.#team.policy = before),
    );
  }

  suspend(part: TeamPart): void {
    this.#hold(part, true);
  }

  resume(part: TeamPart): void {
    this.#hold(part, false);
  }

  /** Those who take turns in what is not reserved, in this order; the others have slots of their own. */
  schedule(): readonly TeamPart[] {
    return this.getResources().filter((part) => part.reservation === undefined && !part.suspended);
  }

  #adopt(added: TeamPart | number): ProcessJob {
    this.#mustBeThere("add a process");
    if (typeof added !== "object") return this.#processes.adopt(added, this.#team);
    if (added.kind !== "team") return this.#processes.adoptAgain(added, this.#team);
    throw new ConsortError(
      "conflict",
      `Cannot add team ${added.name} to ${this.#team.name}: a team stays where it was created, wanted createTeam()`,
    );
  }

  #hold(part: TeamPart, suspended: boolean): void {
    this.#own(part);
    const before = part.suspended;
    if (suspended) mustHold(part.kind === "team" ? part.allProcesses() : [part], part.name);
    if (this.#team.machine.getSchedParam() === undefined)
      throw new ConsortError(
        "conflict",
        `Cannot suspend ${part.name}: its machine ${this.#team.machine.name} has nothing reserved, reserve first`,
      );
    this.#renew(
      () => (part.suspended = suspended),
      () => (part.suspended = before),
    );
  }

  #add(part: TeamPart): void {
    // It may have ended while the process was being started.
    this.#mustBeThere(`add ${part.name}`);
    if (part.kind === "team" && this.#team.teams.some((team) => team.name === part.name))
      throw new ConsortError(
        "conflict",
        `Cannot create team ${part.name}: ${this.#team.name} has one of this name`,
      );
    this.#renew(
      () => this.#insert(part),
      () => this.#take(part),
    );
  }

  #drop(part: TeamPart): void {
    this.#renew(
      () => this.#take(part),
      () => this.#insert(part),
    );
  }

  #forget(process: ProcessJob): void {
    if (this.#team.processes.includes(process)) this.#drop(process);
  }

  #insert(part: TeamPart): void {
    if (part.kind === "team") this.#team.teams.push(part);
    else this.#team.processes.push(part);
  }

  #take(part: TeamPart): void {
    const list: TeamPart[] = part.kind === "team" ? this.#team.teams : this.#team.processes;
    const at = list.indexOf(part);
    if (at >= 0) list.splice(at, 1);
  }

  /** Of a team that was added for it: it stays with what is reserved, or not at all. */
  #reserveFirst(team: Team, reservation: Reservation): void {
    try {
      this.#orLargest(team, reservation, () => this.#setAll(new Map([[team, reservation]])));
    } catch (cause) {
      this.#drop(team);
      throw cause;
    }
  }

  #admitWith(part: TeamPart, reservation: Reservation): void {
    const before = part.reservation;
    part.reservation = reservation;
    try {
      this.#machines.admitAsItIs(this.#team.machine);
    } finally {
      part.reservation = before;
    }
  }

  /** Adds to a refusal the most that would be admitted for this part in its period. */
  #orLargest(part: TeamPart, { periodUs, executionUs }: Reservation, reserve: () => void): void {
    try {
      reserve();
    } catch (cause) {
      if (codeOf(cause) !== "unsatisfiable") throw cause;
      let [low, high] = [0, executionUs - 1];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        if (this.#isAdmitted(part, { periodUs, executionUs: micros(middle) })) low = middle;
        else high = middle - 1;
      }
      throw new ConsortError(
        "unsatisfiable",
        `${messageOf(cause)}; the largest feasible reservation for ${part.name} is ${durationText(low)}`,
        { cause },
      );
    }
  }

  #isAdmitted(part: TeamPart, reservation: Reservation): boolean {
    try {
      this.#admitWith(part, reservation);
      return true;
    } catch (cause) {
      if (codeOf(cause) === "unsatisfiable") return false;
      throw cause;
    }
  }

  #setAll(changes: ReadonlyMap<TeamPart, Reservation | undefined>): void {
    const before = new Map([...changes.keys()].map((part) => [part, part.reservation]));
    const set = (to: ReadonlyMap<TeamPart, Reservation | undefined>): void => {
      for (const [part, reservation] of to) part.reservation = reservation;
    };
    this.#renew(
      () => set(changes),
      () => set(before),
    );
  }

  /** Tells the machine's scheduler how it is after `edit`, and puts it back when that cannot be kept. */
  #renew(edit: () => void, undo: () => void): void {
    edit();
    try {
      this.#machines.renew(this.#team.machine);
    } catch (cause) {
      undo();
      throw cause;
    }
  }

  /** Throws `conflict` for a team that nothing schedules any more. */
  #mustBeThere(action: string): void {
    this.#team.machine.mustBeThere(action);
    for (let team = this.#team; team.parent !== undefined; team = team.parent)
      if (!team.parent.teams.includes(team))
        throw new ConsortError(
          "conflict",
          `Cannot ${action}: team ${team.name} has been removed from ${team.parent.name}`,
        );
  }

  #own(part: TeamPart): void {
    if (this.getResources().includes(part)) return;
    throw new ConsortError(
      "not_found",
      `Cannot manage ${part.name} in team ${this.#team.name}: it is not directly in it`,
    );
  }

  #within(part: TeamPart, param: SchedParam): Reservation {
    if (this.#team.getSchedParam() !== undefined) return reservationFrom(param);
    throw new ConsortError(
      "unsatisfiable",
      `Cannot reserve for ${part.name}: ${this.#team.name} has nothing reserved of which it could have a part`,
    );
  }
}
