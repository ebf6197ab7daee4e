import { ConsortError } from "#base/errors.ts";
import type { ProcessEnd, Processes, StartOptions } from "#drivers/process/port.ts";
import type { Cgroup, Cgroups } from "#drivers/system/cgroups/port.ts";
import type { Background } from "./background.ts";
import { emptyGroup } from "./empty-group.ts";
import { ProcessJob } from "./process-job.ts";
import type { Team } from "./team.ts";

export type StartSettings = Partial<Pick<StartOptions, "directory" | "env" | "output">>;

/** Control groups below this path, where this machine has them and they may be made. */
export type GroupTree = { readonly cgroups: Cgroups; readonly path: string };

/** Builds jobs of teams from processes: new ones, and those that run already. */
export class ProcessFactory {
  readonly #processes: Processes;
  readonly #groups: GroupTree | undefined;
  readonly #background: Background;
  readonly #inUse = new Set<number>();
  #created = 0;

  constructor(processes: Processes, groups: GroupTree | undefined, background: Background) {
    this.#processes = processes;
    this.#groups = groups;
    this.#background = background;
  }

  /** Of the groups of all machines; undefined: there are none. */
  get groupsPath(): string | undefined {
    return this.#groups?.path;
  }

  async start(
    command: readonly string[],
    team: Team,
    { directory, env, output = "ignore" }: StartSettings,
  ): Promise<ProcessJob> {
    const cgroup = this.#newGroup(team);
    try {
      const { ended, release, ...identity } = await this.#processes.start(command, {
        output,
        groupFiles: cgroup?.procsFiles() ?? [],
        ...(directory === undefined ? {} : { directory }),
        ...(env === undefined ? {} : { env }),
      });
      this.#inUse.add(identity.pid);
      return new ProcessJob(team, {
        identity,
        home: this.#processes.groupFiles(this.#processes.self()),
        ended,
        release,
        threads: () => this.#processes.threads(identity),
        ...(cgroup === undefined ? {} : { cgroup }),
      });
    } catch (cause) {
      this.#remove(cgroup);
      throw cause;
    }
  }

  /**
   * Throws `not_found` when there is no such process, `conflict` when it is in a machine or must not be stopped,
   * `forbidden` when this program may not stop it.
   */
  adopt(pid: number, team: Team): ProcessJob {
    if (!Number.isInteger(pid) || pid <= 0)
      throw new ConsortError("bad_input", `Cannot add process ${pid}: a process id is wanted`);
    const identity = this.#processes.identify(pid);
    if (identity === undefined)
      throw new ConsortError("not_found", `Cannot add process ${pid}: no such process runs`);
    if (this.#inUse.has(pid))
      throw new ConsortError(
        "conflict",
        `Cannot add process ${pid}: it is in a machine, remove it there first`,
      );
    if (pid === 1 || pid === this.#processes.self().pid)
      throw new ConsortError(
        "conflict",
        `Cannot add process ${pid}: it would be stopped between its slots, and with it whoever continues it`,
      );
    const home = this.#processes.groupFiles(identity);
    const cgroup = this.#newGroup(team);
    // Without a group it is stopped by signals, which only its own user may send; to continue it others may, too.
    if (cgroup === undefined && !this.#processes.signal(identity, 0))
      throw new ConsortError("forbidden", `Cannot add process ${pid}: this program may not stop it`);
    try {
      if (cgroup !== undefined) this.#processes.join(identity, cgroup.procsFiles());
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
    if (this.#processes.isRunning(process.parts.identity)) return this.adopt(process.pid, team);
    throw new ConsortError("not_found", `Cannot add process ${process.pid}: it has ended`);
  }

  /** It leaves its machine and runs on, also when this program ends. The scheduler no longer knows it. */
  letGo(process: ProcessJob): void {
    const { identity, cgroup, home } = process.parts;
    this.#inUse.delete(identity.pid);
    process.parts.release?.();
    if (cgroup === undefined) {
      this.#processes.signal(identity, "SIGCONT");
      return;
    }
    emptyGroup(cgroup, this.#processes, home);
    this.#remove(cgroup);
  }

  /** It ends at once, with all it has started where there are control groups. */
  end(process: ProcessJob): void {
    const { identity, cgroup } = process.parts;
    this.#inUse.delete(identity.pid);
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
