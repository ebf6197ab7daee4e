/** One process of the machine, and not another one that got its number later. */
export type ProcessIdentity = {
  readonly pid: number;
  /** When it began, as /proc/PID/stat says it. */
  readonly startTime: string;
};

/** One thread of a process, other than its first, whose number is that of the process. */
export type ThreadIdentity = {
  readonly tid: number;
  /** When it began, as /proc/TID/stat says it. */
  readonly startTime: string;
  readonly process: ProcessIdentity;
};

export type ProcessEnd = { readonly code: number | undefined; readonly signal: string | undefined };

export type StartOptions = {
  readonly directory?: string;
  /** Beside what the caller has. */
  readonly env?: Readonly<Record<string, string>>;
  readonly output: "inherit" | "ignore";
  /** Files of control groups it joins before its first instruction (Cgroup.procsFiles). */
  readonly groupFiles: readonly string[];
  /**
   * Called once it is in its groups, and before its first instruction; of one that joins none, as soon as it has begun.
   * The caller ends one for which this throws.
   */
  readonly beforeRun?: (started: StartedProcess) => void;
};

export type StartedProcess = ProcessIdentity & {
  readonly ended: Promise<ProcessEnd>;
  /** From now on the caller's own program may end before it. */
  readonly release: () => void;
};

/** Single processes of this machine: starting them, and taking over those that run. */
export interface Processes {
  /** The caller's own child. Throws `driver_failed` when it cannot be run. */
  start(command: readonly string[], options: StartOptions): Promise<StartedProcess>;
  /** The caller. */
  self(): ProcessIdentity;
  /** Undefined: it does not run. */
  identify(pid: number): ProcessIdentity | undefined;
  isRunning(identity: ProcessIdentity): boolean;
  /** Of its threads, the first being its own; none when it has ended. */
  threads(identity: ProcessIdentity): readonly number[];
  /** Files of the groups it is in, in the hierarchies that matter, to bring it back there. */
  groupFiles(identity: ProcessIdentity): readonly string[];
  /** Moves it, with all its threads but not its children. Throws `driver_failed`. */
  join(identity: ProcessIdentity, groupFiles: readonly string[]): void;
  /** Undefined: there is no such thread, or it is the first of its process. */
  identifyThread(tid: number): ThreadIdentity | undefined;
  /** Files to bring a thread of it back to where the process is (its first thread). */
  threadFiles(identity: ProcessIdentity): readonly string[];
  /** Moves threads without their processes; those that have ended are passed over. Throws `driver_failed`. */
  joinThreads(tids: readonly number[], threadFiles: readonly string[]): void;
  /** 0 only asks. False: it had ended, or the caller may not. */
  signal(identity: ProcessIdentity, name: "SIGTERM" | "SIGKILL" | "SIGCONT" | 0): boolean;
}
