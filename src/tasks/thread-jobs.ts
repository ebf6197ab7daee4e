import { ConsortError } from "#base/errors.ts";
import type { ProcessIdentity, Processes, ThreadIdentity } from "#drivers/process/port.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import { emptyThreadGroup } from "./empty-group.ts";
import type { GroupTree } from "./process-factory.ts";
import { ProcessJob } from "./process-job.ts";
import type { Team } from "./team.ts";

type Known = { readonly job: ProcessJob; readonly group: Cgroup | undefined };

/**
 * Single threads as jobs: each in a group of its own without the others of its process, where the control groups of this
 * machine can do that. Memory is counted where the process is. What such a thread starts is with it. Elsewhere only the
 * deadline scheduler takes them, which knows threads, not groups; what they start is not with them then.
 */
export class ThreadJobs {
  readonly #processes: Processes;
  readonly #groups: GroupTree | undefined;
  readonly #jobs = new Map<number, Known>();
  #created = 0;

  constructor(processes: Processes, groups: GroupTree | undefined) {
    this.#processes = processes;
    this.#groups = groups;
  }

  /** Throws `unsupported` where nothing here stops a thread without its process. */
  adopt(thread: ThreadIdentity, team: Team): ProcessJob {
    const { tid, process } = thread;
    const group = this.#newGroup(thread, team);
    const parts = { identity: process, thread, home: [] };
    if (group === undefined) {
      const isThere = () => this.#processes.identifyThread(tid)?.startTime === thread.startTime;
      return this.#known(tid, new ProcessJob(team, { ...parts, threads: () => (isThere() ? [tid] : []) }));
    }
    try {
      group.create();
      this.#processes.joinThreads([tid], group.threadFiles());
    } catch (cause) {
      this.#empty(group, process);
      throw cause;
    }
    const job = new ProcessJob(team, { ...parts, cgroup: group, threads: () => group.threads() });
    return this.#known(tid, job, group);
  }

  #known(tid: number, job: ProcessJob, group?: Cgroup): ProcessJob {
    this.#jobs.set(tid, { job, group });
    return job;
  }

  /** Back to the others of its process. Returns its group, to be removed; undefined: it has none, or is back already. */
  letGo(thread: ThreadIdentity): Cgroup | undefined {
    const group = this.#jobs.get(thread.tid)?.group;
    this.#jobs.delete(thread.tid);
    if (group === undefined) return undefined;
    this.#empty(group, thread.process);
    return group;
  }

  /** Whether threads of a process can be in a team while the others are elsewhere. */
  areApart({ cgroupPath }: Team): boolean {
    return cgroupPath !== undefined && this.#groups?.cgroups.openForThreads(cgroupPath) !== undefined;
  }

  /** Those of one process. */
  of(process: ProcessIdentity): readonly ProcessJob[] {
    return this.#of(process).map(({ job }) => job);
  }

  /** Does something that moves a process with all its threads; those that are jobs by themselves then are again. */
  keepApart(process: ProcessIdentity, move: () => void): void {
    const apart = this.#of(process).flatMap(({ group }) =>
      group === undefined ? [] : [{ group, threads: group.threads() }],
    );
    move();
    for (const { group, threads } of apart) this.#processes.joinThreads(threads, group.threadFiles());
  }

  #of({ pid, startTime }: ProcessIdentity): readonly Known[] {
    return [...this.#jobs.values()].filter(({ job: { parts } }) => {
      return parts.identity.pid === pid && parts.identity.startTime === startTime;
    });
  }

  /** Undefined: none here holds a thread apart, and the machine needs none. */
  #newGroup({ tid, process }: ThreadIdentity, team: Team): Cgroup | undefined {
    this.#created += 1;
    const path = team.cgroupPath === undefined ? undefined : `${team.cgroupPath}/thread-${this.#created}`;
    const group = path === undefined ? undefined : this.#groups?.cgroups.openForThreads(path);
    if (group !== undefined || team.machine.enforcement === "deadline") return group;
    const why =
      path === undefined
        ? "this program may not make control groups, and a signal stops a whole process"
        : "this machine's control groups are of version 2, which hold the threads of a process together";
    throw new ConsortError(
      "unsupported",
      `Cannot add thread ${tid} alone: ${why}; wanted process ${process.pid} with all its threads, or a machine kept by deadline`,
    );
  }

  #empty(group: Cgroup, process: ProcessIdentity): void {
    const isRunning = this.#processes.isRunning(process);
    const home = this.#processes.threadFiles(isRunning ? process : this.#processes.self());
    emptyThreadGroup(group, this.#processes, home);
  }
}
