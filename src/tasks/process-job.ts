import { ConsortError } from "#base/errors.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { ProcessEnd, ProcessIdentity, ThreadIdentity } from "#drivers/process/port.ts";
import type { JobGroup } from "#drivers/scheduling/port.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import type { AbstractResource, Job } from "./resource.ts";
import type { SchedParam } from "./sched-param.ts";
import type { Team } from "./team.ts";

export type ProcessParts = {
  readonly identity: ProcessIdentity;
  /** This thread of it alone. */
  readonly thread?: ThreadIdentity;
  /** Where it is kept together with what it starts; absent where there are no control groups. */
  readonly cgroup?: Cgroup;
  /** Files of the groups it leaves to when it leaves its machine. */
  readonly home: readonly string[];
  /** Absent: it ran before, and goes on when its machine ends. */
  readonly ended?: Promise<ProcessEnd>;
  /** Of one that was started here (StartedProcess.release). */
  readonly release?: () => void;
  readonly threads: () => readonly number[];
};

/**
 * A process of a team, with all its threads but those that are jobs by themselves; started here, or one that ran already.
 * Or a single thread of a process.
 */
export class ProcessJob implements Job {
  readonly kind: "process" | "thread";
  readonly level = "virtual";
  readonly parts: ProcessParts;
  readonly #team: Team;
  /** Kept by the scheduler of its team. */
  reservation: Reservation | undefined;
  suspended = false;

  constructor(team: Team, parts: ProcessParts) {
    this.#team = team;
    this.parts = parts;
    this.kind = parts.thread === undefined ? "process" : "thread";
  }

  get name(): string {
    const { thread } = this.parts;
    return thread === undefined ? `process-${this.pid}` : `thread-${thread.tid}`;
  }

  /** Of the process; of a thread, that of the process it is of. */
  get pid(): number {
    return this.parts.identity.pid;
  }

  get team(): Team {
    return this.#team;
  }

  /** True: it ran before it was added, and goes on when its machine ends. */
  get adopted(): boolean {
    return this.parts.ended === undefined;
  }

  /** How it ended; undefined for one that was adopted, whose end only its parent is told. */
  get ended(): Promise<ProcessEnd> | undefined {
    return this.parts.ended;
  }

  threads(): readonly number[] {
    return this.parts.threads();
  }

  higher(): readonly AbstractResource[] {
    return [this.#team];
  }

  lower(): readonly AbstractResource[] {
    return [this.#team.machine.virtualProcessor];
  }

  getSchedParam(): Reservation | undefined {
    return this.reservation;
  }

  setSchedParam(param: SchedParam): void {
    this.#team.scheduler.reserve(this, param);
  }

  /** A single thread that no control group here holds apart from its process: it has deadlines, and cannot be held. */
  get isBare(): boolean {
    return this.kind === "thread" && this.parts.cgroup === undefined;
  }

  /** What is stopped and continued as one. */
  get jobGroup(): JobGroup {
    const { cgroup, identity, thread } = this.parts;
    if (cgroup === undefined)
      return thread === undefined
        ? { kind: "process", ...identity }
        : { kind: "thread", tid: thread.tid, startTime: thread.startTime };
    return { kind: "cgroup", path: cgroup.path, ...(thread === undefined ? {} : { threads: true }) };
  }
}

/** Throws `unsupported` where one of these cannot be held. */
export function mustHold(jobs: readonly ProcessJob[], what: string): void {
  const bare = jobs.find((job) => job.isBare);
  if (bare === undefined) return;
  throw new ConsortError(
    "unsupported",
    `Cannot suspend ${what}: no control group here holds ${bare.name} apart, and a signal would stop all threads of process ${bare.pid}`,
  );
}
