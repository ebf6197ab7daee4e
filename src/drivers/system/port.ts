import type { Millis } from "#base/units.ts";

export type ProcessResult = {
  /** Exit code, or 128 + signal number. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunOptions = {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Killed after this long; the call then rejects with `timeout`. */
  readonly timeoutMs?: Millis;
  /** Killed when it has written more; the call then rejects with `limit_exceeded`. */
  readonly outputBytesMax?: number;
  /** Open file descriptors the program gets as 3, 4, … (a lock it is to hold on to). */
  readonly inherit?: readonly number[];
};

/** Programs with argument arrays; never a shell string. */
export interface Subprocess {
  /** Runs to its end. Rejects with `driver_failed` only if the program cannot be started; a non-zero exit is a result. */
  run(
    file: string,
    args: readonly string[],
    signal: AbortSignal,
    options?: RunOptions,
  ): Promise<ProcessResult>;
  /** Like `run`, but a non-zero exit rejects with `driver_failed` and the program's own words. Resolves with stdout. */
  check(file: string, args: readonly string[], signal: AbortSignal, options?: RunOptions): Promise<string>;
}
