import { ConsortError } from "#base/errors.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { Enforcement, TeamPolicy } from "#model/ensemble.ts";
import type { EnforcementKind } from "#drivers/scheduling/port.ts";
import type { Connection, ConnectionFactory } from "./connection.ts";
import type { MemoryBuffer } from "./memory.ts";
import type { ProcessJob } from "./process-job.ts";
import type { AbstractResource, Job } from "./resource.ts";
import type { SchedParam } from "./sched-param.ts";
import type { Team } from "./team.ts";
import type { TeamFactory } from "./team-factory.ts";
import { VirtualProcessor } from "./virtual-processor.ts";
import type { VtmScheduler } from "./vtm-scheduler.ts";

export type VtmLevelsBelow = {
  readonly scheduler: VtmScheduler;
  readonly teams: TeamFactory;
  readonly processors: readonly AbstractResource[];
  /** Throws `unsupported` where there is no network interface. */
  readonly connectionFactory: () => ConnectionFactory;
};

/**
 * A group of processes with CPU time, memory and bandwidth reserved for them: a job that contains jobs and resources. It
 * has one team of its own, for processes that are in no other.
 */
export class VirtualTaskMachine implements Job {
  readonly kind = "virtual-task-machine";
  readonly level = "machine";
  readonly name: string;
  readonly enforcement: Enforcement;
  readonly team: Team;
  readonly virtualProcessor: VirtualProcessor;
  readonly scheduler: VtmScheduler;
  readonly connectionFactory: () => ConnectionFactory;
  /** Kept by the managers of memory and of network interfaces. */
  memory: MemoryBuffer | undefined;
  readonly connections: Connection[] = [];
  /** Kept by its host. */
  destroyed = false;

  constructor(name: string, enforcement: Enforcement, policy: TeamPolicy, below: VtmLevelsBelow) {
    this.name = name;
    this.enforcement = enforcement;
    this.scheduler = below.scheduler;
    this.connectionFactory = below.connectionFactory;
    this.virtualProcessor = new VirtualProcessor(this, below.processors);
    this.team = below.teams.create(name, policy, this);
  }

  getSchedParam(): Reservation | undefined {
    return this.scheduler.reservationOf(this);
  }

  setSchedParam(param: SchedParam): void {
    this.scheduler.reserve(this, param);
  }

  /** How its reservation is kept now; undefined: it has none. */
  get enforcedBy(): EnforcementKind | undefined {
    return this.scheduler.enforcementOf(this);
  }

  get suspended(): boolean {
    return this.scheduler.isSuspended(this);
  }

  suspend(): void {
    this.scheduler.suspend(this);
  }

  resume(): void {
    this.scheduler.resume(this);
  }

  /** Throws `conflict` when there is nothing left of it. */
  mustBeThere(action: string): void {
    if (!this.destroyed) return;
    throw new ConsortError("conflict", `Cannot ${action}: machine ${this.name} has been destroyed`);
  }

  /** A process that runs already, or a single thread of one, joins its own team. */
  addResource(number: number): ProcessJob {
    return this.team.scheduler.addResource(number);
  }

  higher(): readonly AbstractResource[] {
    return [];
  }

  lower(): readonly AbstractResource[] {
    return [this.team, ...(this.memory === undefined ? [] : [this.memory]), ...this.connections];
  }
}
