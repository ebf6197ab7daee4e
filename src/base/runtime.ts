import type { Millis } from "#base/units.ts";

/**
 * Time, chance and logging as parameters. Everything above the drivers takes these and nothing from the
 * machine, so that the same managers run in virtual time under the simulator.
 */
export interface Clock {
  /** Wall time in ms since the epoch; may jump; for people and records only. */
  now(): Millis;
  /** Monotonic ms from an arbitrary start, fractional; for durations and deadlines. */
  monotonic(): Millis;
  /** Resolves after `delay`; rejects with the signal's reason when aborted first. */
  sleep(delay: Millis, signal: AbortSignal): Promise<void>;
  /** Calls `run` after `delay`, unless what this returns is called first. For waits that are made and called off often. */
  timer(delay: Millis, run: () => void): () => void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** Uniform integer in [0, below). */
  integer(below: number): number;
  /** `length` random bytes as lower-case hex (2 × length characters); cryptographic on real machines. */
  hex(length: number): string;
}

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line carries `fields`. */
  with(fields: LogFields): Log;
}
