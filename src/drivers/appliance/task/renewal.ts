import { messageOf } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { LeaseFile } from "#drivers/appliance/task/lease.ts";

type Parts = {
  readonly lease: Pick<LeaseFile, "lasts" | "extend" | "endMs">;
  /** Lets the supervisors' alarm clock ring at that moment; rejects where it cannot be set. */
  readonly setTimer: (endMs: Millis) => Promise<void>;
  readonly log: Log;
  /** Aborted when nobody wants to hear of failures any more. */
  readonly signal: AbortSignal;
};

/**
 * Renews a host's lease: first the file, then the timer. In this order a pause in between makes the supervisors look
 * too early, never too late. While the timer cannot be set no later end is granted, so all that is leased is held when
 * the present one is over: the timer then rings for an end that it could be set to, which is no later.
 */
export class LeaseRenewal {
  readonly #parts: Parts;
  #timerWorks = true;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** True: the lease had ended and lasts again, so whoever is held can go on. */
  renew(until: Millis): boolean {
    const { lease, log } = this.#parts;
    const lasted = lease.lasts();
    try {
      const extended = this.#timerWorks && lease.extend(until);
      if (extended || !this.#timerWorks) void this.#setTimer();
      return extended && !lasted;
    } catch (cause) {
      // Not renewed: what is leased stops, which is always safe.
      log.warn(`Cannot renew the lease: ${messageOf(cause)}`, { cause });
      return false;
    }
  }

  async #setTimer(): Promise<void> {
    const { lease, setTimer, log, signal } = this.#parts;
    try {
      await setTimer(lease.endMs);
      this.#timerWorks = true;
    } catch (cause) {
      if (signal.aborted) return;
      this.#timerWorks = false;
      log.error(`Cannot grant a lease: ${messageOf(cause)}`, { cause });
    }
  }
}
