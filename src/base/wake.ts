import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

/** More waits than this that are over at once, one after the other, are no burst of news. */
const atOnceMax = 64;
const breathMs = millis(10);

/**
 * What a reconciler sleeps on: wakes when told, or when its period has passed, whichever is first. Any number
 * of calls while it works count as one, and none is lost. For one sleeper at a time.
 */
export class Wake {
  #told = false;
  /** Waits in a row that were over at once. */
  #atOnce = 0;
  #waiting: (() => void) | undefined;
  /** Its end wakes the sleeper. Listened to once, not at every wait: mostly it is the same one all along. */
  #signal: AbortSignal | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): void {
    this.#told = true;
    this.#waiting?.();
  }

  /**
   * Resolves at once if told since the last wait, but not for ever: whoever is told by what it does itself lets others
   * have their turn from time to time. Rejects with the signal's reason.
   */
  async wait(period: Millis, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#atOnce = this.#told ? this.#atOnce + 1 : 0;
    if (this.#atOnce > atOnceMax) {
      this.#atOnce = 0;
      await this.#clock.sleep(breathMs, signal);
    } else if (!this.#told) {
      this.#listenTo(signal);
      await new Promise<void>((resolve) => {
        const callOff = this.#clock.timer(period, resolve);
        this.#waiting = () => {
          callOff();
          resolve();
        };
      });
      this.#waiting = undefined;
      signal.throwIfAborted();
    }
    this.#told = false;
  }

  #listenTo(signal: AbortSignal): void {
    if (this.#signal === signal) return;
    this.#signal?.removeEventListener("abort", this.#end);
    this.#signal = signal;
    signal.addEventListener("abort", this.#end, { once: true });
  }

  readonly #end = (): void => this.#waiting?.();
}
