import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

/** A clock that stands still until told to go on, for tests and simulations. */
export class ManualClock implements Clock {
  #time = 0;
  readonly #origin: number;
  #sleepers: { wakeAt: number; wake: () => void }[] = [];

  constructor(origin = 1_700_000_000_000) {
    this.#origin = origin;
  }

  now(): Millis {
    return millis(this.#origin + this.#time);
  }

  monotonic(): Millis {
    return millis(this.#time);
  }

  sleep(delay: Millis, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const stop = (): void => {
        callOff();
        reject(signal.reason);
      };
      const callOff = this.timer(delay, () => {
        signal.removeEventListener("abort", stop);
        resolve();
      });
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  timer(delay: Millis, run: () => void): () => void {
    const sleeper = { wakeAt: this.#time + delay, wake: run };
    this.#sleepers.push(sleeper);
    return () => void (this.#sleepers = this.#sleepers.filter((one) => one !== sleeper));
  }

  /** Lets `duration` pass, waking sleepers in their order. What they do happens when the caller next awaits. */
  advance(duration: Millis): void {
    const until = this.#time + duration;
    for (;;) {
      const next = this.#sleepers
        .filter((one) => one.wakeAt <= until)
        .sort((a, b) => a.wakeAt - b.wakeAt)
        .at(0);
      if (next === undefined) break;
      this.#time = Math.max(this.#time, next.wakeAt);
      this.#sleepers = this.#sleepers.filter((one) => one !== next);
      next.wake();
    }
    this.#time = until;
  }
}
