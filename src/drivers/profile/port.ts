import type { Millis } from "#base/units.ts";
import type { ProgramRun } from "#control/profile/profile.ts";

export type RunRequest = {
  readonly command: readonly string[];
  /** Ended after this long; absent: it ends by itself. */
  readonly forMs?: Millis;
};

export type FinishedRun = ProgramRun & {
  /** Exit code, 128 + signal number; undefined: it was ended when its time was over. */
  readonly exitCode?: number;
  /** The end of what it wrote to standard error. */
  readonly lastWords: string;
};

/** Runs a program by itself on this machine, as the user who asks, and measures what it uses. */
export interface ProgramRunner {
  /** Where programs run. */
  readonly directory: string;
  /**
   * One run, alone in a control group: its own CPU time and memory, with that of everything it starts. Aborted, it is
   * killed, with all of that. Throws `driver_failed` where no group can be made or the program cannot be started.
   */
  run(request: RunRequest, signal: AbortSignal): Promise<FinishedRun>;
  /** Nothing is left on the machine. */
  close(): Promise<void>;
}
