import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";

/**
 * What a reconciler sleeps on: wakes when told, or when its period has passed, whichever is first. Any number
 * of calls while it works count as one, and none is lost.
 */
export class Wake {
  #told = false;
  #waiting: (() => void) | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): void {
    this.#told = true;
    this.#waiting?.();
  }

  /** Resolves at once if told since the last wait. Rejects with the signal's reason. */
  async wait(period: Millis, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#told) {
      const nap = new AbortController();
      const told = new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
      const slept = this.#clock.sleep(period, AbortSignal.any([signal, nap.signal])).catch(() => {});
      await Promise.race([told, slept]);
      this.#waiting = undefined;
      nap.abort();
      signal.throwIfAborted();
    }
    this.#told = false;
  }
}
