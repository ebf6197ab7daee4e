import { ConsortError } from "#base/errors.ts";
import type {
  ProcessEnd,
  ProcessIdentity,
  Processes,
  StartOptions,
  StartedProcess,
  ThreadIdentity,
} from "./port.ts";

type FakeProcess = {
  readonly identity: ProcessIdentity;
  readonly command: readonly string[];
  groupFiles: readonly string[];
  readonly end: (end: ProcessEnd) => void;
};

const firstPid = 1000;

/** Processes that only exist in a table. */
export class FakeProcesses implements Processes {
  readonly running = new Map<number, FakeProcess>();
  /** Threads beside the first ones, and the groups they are in without their processes. */
  readonly threadsApart = new Map<number, { readonly pid: number; groupFiles: readonly string[] }>();
  /** Of other users. */
  readonly untouchable = new Set<number>();
  #pid = firstPid;

  async start(command: readonly string[], options: StartOptions): Promise<StartedProcess> {
    if (command.length === 0)
      throw new ConsortError("bad_input", "Cannot start a process: no command was given");
    const started = this.add(command, options.groupFiles);
    // As with real ones, others go on meanwhile.
    await Promise.resolve();
    options.beforeRun?.(started);
    return started;
  }

  /** One that runs without having been started here. */
  add(command: readonly string[], groupFiles: readonly string[]): StartedProcess {
    this.#pid += 1;
    const identity = { pid: this.#pid, startTime: String(this.#pid) };
    const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
    this.running.set(identity.pid, { identity, command, groupFiles, end: resolve });
    return { ...identity, ended: promise, release: () => {} };
  }

  /** One more thread of a process; its number. */
  addThread(pid: number): number {
    this.#pid += 1;
    this.threadsApart.set(this.#pid, { pid, groupFiles: [] });
    return this.#pid;
  }

  self(): ProcessIdentity {
    return { pid: firstPid, startTime: "0" };
  }

  identify(pid: number): ProcessIdentity | undefined {
    return this.running.get(pid)?.identity;
  }

  isRunning({ pid, startTime }: ProcessIdentity): boolean {
    return this.running.get(pid)?.identity.startTime === startTime;
  }

  threads(identity: ProcessIdentity): readonly number[] {
    if (!this.isRunning(identity)) return [];
    const others = [...this.threadsApart].filter(([, { pid }]) => pid === identity.pid);
    return [identity.pid, ...others.map(([tid]) => tid)];
  }

  identifyThread(tid: number): ThreadIdentity | undefined {
    const process = this.identify(this.threadsApart.get(tid)?.pid ?? 0);
    return process === undefined ? undefined : { tid, startTime: String(tid), process };
  }

  threadFiles(): readonly string[] {
    return [];
  }

  joinThreads(tids: readonly number[], threadFiles: readonly string[]): void {
    for (const tid of tids) {
      const thread = this.threadsApart.get(tid);
      if (thread !== undefined) thread.groupFiles = threadFiles;
    }
  }

  groupFiles({ pid }: ProcessIdentity): readonly string[] {
    return this.running.get(pid)?.groupFiles ?? [];
  }

  join(identity: ProcessIdentity, groupFiles: readonly string[]): void {
    const process = this.running.get(identity.pid);
    if (process === undefined || !this.isRunning(identity))
      throw new ConsortError("not_found", `Cannot move process ${identity.pid}: it has ended`);
    process.groupFiles = groupFiles;
    for (const thread of this.threadsApart.values()) if (thread.pid === identity.pid) thread.groupFiles = [];
  }

  signal(identity: ProcessIdentity, name: "SIGTERM" | "SIGKILL" | "SIGCONT" | 0): boolean {
    if (!this.isRunning(identity) || this.untouchable.has(identity.pid)) return false;
    if (name !== "SIGCONT" && name !== 0) this.end(identity.pid, { code: undefined, signal: name });
    return true;
  }

  /** It ends by itself. */
  end(pid: number, end: ProcessEnd = { code: 0, signal: undefined }): void {
    this.running.get(pid)?.end(end);
    this.running.delete(pid);
  }
}
