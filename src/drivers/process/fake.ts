import { ConsortError } from "#base/errors.ts";
import type { ProcessEnd, ProcessIdentity, Processes, StartOptions, StartedProcess } from "./port.ts";

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
  /** Of other users. */
  readonly untouchable = new Set<number>();
  #pid = firstPid;

  async start(command: readonly string[], options: StartOptions): Promise<StartedProcess> {
    if (command.length === 0)
      throw new ConsortError("bad_input", "Cannot start a process: no command was given");
    return this.add(command, options.groupFiles);
  }

  /** One that runs without having been started here. */
  add(command: readonly string[], groupFiles: readonly string[]): StartedProcess {
    this.#pid += 1;
    const identity = { pid: this.#pid, startTime: String(this.#pid) };
    const { promise, resolve } = Promise.withResolvers<ProcessEnd>();
    this.running.set(identity.pid, { identity, command, groupFiles, end: resolve });
    return { ...identity, ended: promise, release: () => {} };
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
    return this.isRunning(identity) ? [identity.pid] : [];
  }

  groupFiles({ pid }: ProcessIdentity): readonly string[] {
    return this.running.get(pid)?.groupFiles ?? [];
  }

  join(identity: ProcessIdentity, groupFiles: readonly string[]): void {
    const process = this.running.get(identity.pid);
    if (process === undefined || !this.isRunning(identity))
      throw new ConsortError("not_found", `Cannot move process ${identity.pid}: it has ended`);
    process.groupFiles = groupFiles;
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
