import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { VmReport } from "#protocol/host-report.ts";

/**
 * What the stages of a machine's creation took, until its guest answers for the first time. A stage begins where the one
 * before it ended; one that has to be repeated counts as it went the last time. A manager that was restarted meanwhile
 * does not know when a stage began, and tells of those before it alone.
 */
export class Creation {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #took: Map<string, Millis>;
  #beganAtMs: number | undefined;

  constructor(clock: Pick<Clock, "monotonic">, known: VmReport["stages"]) {
    this.#clock = clock;
    this.#took = new Map(known.map(({ stage, tookMs }) => [stage, tookMs]));
  }

  get stages(): VmReport["stages"] {
    return [...this.#took].map(([stage, tookMs]) => ({ stage, tookMs }));
  }

  begin(): void {
    this.#beganAtMs = this.#clock.monotonic();
  }

  /** False: it is not known when it began, or its creation is over. */
  end(stage: string): boolean {
    if (this.#beganAtMs === undefined) return false;
    const now = this.#clock.monotonic();
    this.add(stage, millis(Math.round((now - this.#beganAtMs) * 10) / 10));
    this.#beganAtMs = now;
    return true;
  }

  /** A stage that somebody else has timed. */
  add(stage: string, tookMs: Millis): void {
    this.#took.delete(stage);
    this.#took.set(stage, tookMs);
  }

  /** What comes now is not part of it any more. */
  over(): void {
    this.#beganAtMs = undefined;
  }
}
