import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";

/** Those who wait until something holds of what changes. */
export class Changes {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something may have changed. */
  look(): void {
    for (const wake of this.#waiting) wake();
  }

  /** False: not within `timeoutMs`. */
  async until(condition: () => boolean, signal: AbortSignal, timeoutMs?: Millis): Promise<boolean> {
    if (condition()) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const ended = new AbortController();
    const wake = (): void => {
      if (condition()) resolve(true);
    };
    this.#waiting.add(wake);
    const abort = (): void => resolve(false);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    if (timeoutMs !== undefined) {
      this.#clock.sleep(timeoutMs, ended.signal).then(
        () => resolve(false),
        () => resolve(false),
      );
    }
    try {
      const met = await promise;
      signal.throwIfAborted();
      return met;
    } finally {
      this.#waiting.delete(wake);
      signal.removeEventListener("abort", abort);
      ended.abort();
    }
  }
}
