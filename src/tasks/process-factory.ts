import { ConsortError } from "#base/errors.ts";
import type {
  ProcessEnd,
  ProcessIdentity,
  Processes,
  StartOptions,
  StartedProcess,
} from "#drivers/process/port.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import type { Background } from "./background.ts";
import { emptyGroup } from "./empty-group.ts";
import { ProcessJob } from "./process-job.ts";
import { ThreadJobs } from "./thread-jobs.ts";
import type { Team } from "./team.ts";

export type StartSettings = Partial<Pick<StartOptions, "directory" | "env" | "output">>;

/** Control groups below this path, where this machine has them and they may be made. */
export type GroupTree = { readonly cgroups: Cgroups; readonly path: string };

/** Builds jobs of teams from processes: new ones, and those that run already. */
export class ProcessFactory {
  readonly #processes: Processes;
  readonly #groups: GroupTree | undefined;
  readonly #background: Background;
  readonly #threads: ThreadJobs;
  /** Numbers of processes, and of single threads, which have none in common. */
  readonly #inUse = new Set<number>();
  #created = 0;

  constructor(processes: Processes, groups: GroupTree | undefined, background: Background) {
    this.#processes = processes;
    this.#groups = groups;
    this.#background = background;
    this.#threads = new ThreadJobs(processes, groups);
  }

  /** Of the groups of all machines; undefined: there are none. */
  get groupsPath(): string | undefined {
    return this.#groups?.path;
  }

  /**
   * Resolves when it runs. `add` is told of it before, so that a machine that is suspended holds it from the beginning;
   * where that throws the job has been ended.
   */
  async start(
    command: readonly string[],
    team: Team,
    { directory, env, output = "ignore" }: StartSettings,
    add: (job: ProcessJob) => void,
  ): Promise<ProcessJob> {
    const cgroup = this.#newGroup(team);
    const job = Promise.withResolvers<ProcessJob>();
    const beforeRun = ({ ended, release, ...identity }: StartedProcess): void => {
      this.#inUse.add(identity.pid);
      const started = new ProcessJob(team, {
        identity,
        home: this.#processes.groupFiles(this.#processes.self()),
        ended,
        release,
        threads: () => this.#processes.threads(identity),
        ...(cgroup === undefined ? {} : { cgroup }),
      });
      try {
        add(started);
      } catch (cause) {
        this.end(started);
        throw cause;
      }
      job.resolve(started);
    };
    try {
      await this.#processes.start(command, {
        output,
        groupFiles: cgroup?.procsFiles() ?? [],
        beforeRun,
        ...(directory === undefined ? {} : { directory }),
        ...(env === undefined ? {} : { env }),
      });
      return await job.promise;
    } catch (cause) {
      this.#remove(cgroup);
      throw cause;
    }
  }

  /**
   * A process, or a thread that is not the first of one. Throws `not_found` when there is no such process or thread,
   * `conflict` when it is in a machine or must not be stopped, `forbidden` when this program may not stop it,
   * `unsupported` for a thread where nothing stops it without its process.
   */
  adopt(number: number, team: Team): ProcessJob {
    if (!Number.isInteger(number) || number <= 0)
      throw new ConsortError(
        "bad_input",
        `Cannot add process ${number}: a process id is wanted, or that of a thread`,
      );
    const thread = this.#processes.identifyThread(number);
    const identity = thread?.process ?? this.#processes.identify(number);
    const what = `${thread === undefined ? "process" : "thread"} ${number}`;
    if (identity === undefined)
      throw new ConsortError("not_found", `Cannot add ${what}: no such process or thread runs`);
    if (this.#inUse.has(number))
      throw new ConsortError("conflict", `Cannot add ${what}: it is in a machine, remove it there first`);
    if (identity.pid === 1 || identity.pid === this.#processes.self().pid)
      throw new ConsortError(
        "conflict",
        `Cannot add ${what}: it would be stopped between its slots, and with it whoever continues it`,
      );
    if (thread === undefined) return this.#adoptProcess(identity, team);
    if (this.#inUse.has(identity.pid) && !this.#threads.areApart(team))
      throw new ConsortError(
        "conflict",
        `Cannot add ${what}: its process ${identity.pid} is in a machine with all its threads, as no control group here holds one apart`,
      );
    const job = this.#threads.adopt(thread, team);
    this.#inUse.add(number);
    return job;
  }

  #adoptProcess(identity: ProcessIdentity, team: Team): ProcessJob {
    const { pid } = identity;
    const bare = this.#threads.of(identity).find((job) => job.isBare);
    if (bare !== undefined)
      throw new ConsortError(
        "conflict",
        `Cannot add process ${pid}: its ${bare.name} is in a machine, and no control group here holds it apart`,
      );
    const home = this.#processes.groupFiles(identity);
    const cgroup = this.#newGroup(team);
    // Without a group it is stopped by signals, which only its own user may send; to continue it others may, too.
    if (cgroup === undefined && !this.#processes.signal(identity, 0))
      throw new ConsortError("forbidden", `Cannot add process ${pid}: this program may not stop it`);
    try {
      if (cgroup !== undefined)
        this.#threads.keepApart(identity, () => this.#processes.join(identity, cgroup.procsFiles()));
    } catch (cause) {
      this.#remove(cgroup);
      throw cause;
    }
    this.#inUse.add(pid);
    return new ProcessJob(team, {
      identity,
      home,
      threads: () => this.#processes.threads(identity),
      ...(cgroup === undefined ? {} : { cgroup }),
    });
  }

  /** One that has left its team. Throws as `adopt` does. */
  adoptAgain(process: ProcessJob, team: Team): ProcessJob {
    const { identity, thread } = process.parts;
    const now = thread === undefined ? undefined : this.#processes.identifyThread(thread.tid);
    const isSame = now?.startTime === thread?.startTime && this.#processes.isRunning(identity);
    if (isSame) return this.adopt(thread?.tid ?? identity.pid, team);
    throw new ConsortError("not_found", `Cannot add ${process.name}: it has ended`);
  }

  /** It leaves its machine and runs on, also when this program ends. The scheduler no longer knows it. */
  letGo(process: ProcessJob): void {
    const { identity, thread, cgroup, home, release } = process.parts;
    this.#inUse.delete(thread?.tid ?? identity.pid);
    if (thread !== undefined) {
      this.#remove(this.#threads.letGo(thread));
      return;
    }
    release?.();
    if (cgroup === undefined) {
      this.#processes.signal(identity, "SIGCONT");
      return;
    }
    this.#threads.keepApart(identity, () => emptyGroup(cgroup, this.#processes, home));
    this.#remove(cgroup);
  }

  /** It ends at once, with all it has started where there are control groups. */
  end(process: ProcessJob): void {
    const { identity, cgroup } = process.parts;
    this.#inUse.delete(identity.pid);
    // One that stood still in another machine would keep it from ending.
    for (const thread of this.#threads.of(identity)) {
      if (thread.team.processes.includes(thread)) thread.team.scheduler.removeResource(thread);
      else this.letGo(thread);
    }
    if (cgroup === undefined) {
      this.#processes.signal(identity, "SIGKILL");
      this.#processes.signal(identity, "SIGCONT");
      return;
    }
    cgroup.killAll();
    this.#remove(cgroup);
  }

  /** Once, after it ended by itself or was ended; what it has left behind ends with it. */
  whenEnded(process: ProcessJob, told: (end: ProcessEnd) => void): void {
    const { ended } = process.parts;
    if (ended === undefined) return;
    const watch = async (): Promise<void> => {
      const end = await ended;
      if (!this.#inUse.has(process.pid)) return;
      told(end);
      this.end(process);
    };
    this.#background.observe(watch());
  }

  /** Of a machine or team, before anything is in it: a scheduler may want to limit it as a whole. */
  createGroups(team: Team): void {
    if (team.cgroupPath !== undefined) this.#groups?.cgroups.open(team.cgroupPath).create();
  }

  /** The groups of a machine that has ended. */
  removeGroups(team: Team): void {
    if (team.cgroupPath !== undefined) this.#remove(this.#groups?.cgroups.open(team.cgroupPath));
  }

  #newGroup(team: Team): Cgroup | undefined {
    if (this.#groups === undefined || team.cgroupPath === undefined) return undefined;
    this.#created += 1;
    const cgroup = this.#groups.cgroups.open(`${team.cgroupPath}/job-${this.#created}`);
    cgroup.create();
    return cgroup;
  }

  #remove(cgroup: Cgroup | undefined): void {
    if (cgroup !== undefined) this.#background.add(cgroup.remove(this.#background.signal));
  }
}
