import type { VirtualTime } from "#sim/kernel/virtual-time.ts";

/** Wall time at which every run begins. */
export const wallOriginMs = 1_700_000_000_000;

/** The clocks of one machine: they go on whatever its processes do, perhaps at the wrong speed. */
export class PlaceClock {
  readonly #time: VirtualTime;
  #sinceMs = 0;
  #shown = 0;
  #speed = 1;
  #jumpMs = 0;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  monotonic(): number {
    return this.#shown + (this.#time.nowMs - this.#sinceMs) * this.#speed;
  }

  wall(): number {
    return wallOriginMs + this.#time.nowMs + this.#jumpMs;
  }

  /** The wall clock is that far off from now on, and the monotonic clock runs that much too fast. */
  skew(jumpMs: number, driftPpm: number): void {
    this.#shown = this.monotonic();
    this.#sinceMs = this.#time.nowMs;
    this.#speed = 1 + driftPpm / 1e6;
    this.#jumpMs = jumpMs;
  }

  /** When, in virtual time, the monotonic clock will show that, if its speed stays. */
  whenShows(monotonicMs: number): number {
    return this.#time.nowMs + (monotonicMs - this.monotonic()) / this.#speed;
  }
}
