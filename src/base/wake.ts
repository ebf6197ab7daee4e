import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";

const woken = "woken";

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
      // A reason of its own would be an error with a stack, made at every wake.
      const end = (): void => nap.abort(woken);
      this.#waiting = end;
      signal.addEventListener("abort", end, { once: true });
      await this.#clock.sleep(period, nap.signal).catch(() => {});
      signal.removeEventListener("abort", end);
      this.#waiting = undefined;
      signal.throwIfAborted();
    }
    this.#told = false;
  }
}
