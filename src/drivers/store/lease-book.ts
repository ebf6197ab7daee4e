import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

const retryAfter = millis(1000);

/**
 * Which leases live and until when. Deadlines are monotonic and not kept: after a restart every lease has its
 * whole ttl again, as its holder could not renew while nobody was there.
 */
export class LeaseBook {
  readonly #clock: Clock;
  readonly #leases = new Map<string, { ttl: Millis; until: number }>();
  readonly #closed = new AbortController();
  readonly #onDue: () => void;
  /** The nap until the first deadline; a new lease that ends sooner cuts it short. */
  #nap: { until: number; stop: AbortController } | undefined;

  /** `onDue` is called when some lease's time is over; it is to end what `due` lists. */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  add(id: string, ttl: Millis): void {
    this.#leases.set(id, { ttl, until: this.#clock.monotonic() + ttl });
    this.#arm();
  }

  has(id: string): boolean {
    return this.#leases.has(id);
  }

  /** False when there is no such lease. */
  renew(id: string): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined) return false;
    lease.until = this.#clock.monotonic() + lease.ttl;
    return true;
  }

  drop(ids: readonly string[]): void {
    for (const id of ids) this.#leases.delete(id);
  }

  due(): readonly string[] {
    const now = this.#clock.monotonic();
    return [...this.#leases].filter(([, lease]) => lease.until <= now).map(([id]) => id);
  }

  close(): void {
    this.#closed.abort();
  }

  #arm(): void {
    if (this.#closed.signal.aborted || this.#leases.size === 0) return;
    const until = Math.min(...[...this.#leases.values()].map((lease) => lease.until));
    if (this.#nap !== undefined) {
      if (this.#nap.until <= until) return;
      this.#nap.stop.abort();
    }
    const nap = { until, stop: new AbortController() };
    this.#nap = nap;
    void this.#sleepUntilDue(until, AbortSignal.any([nap.stop.signal, this.#closed.signal]));
  }

  async #sleepUntilDue(until: number, signal: AbortSignal): Promise<void> {
    const left = until - this.#clock.monotonic();
    try {
      // A lease that is due already could not be ended: its store is in trouble.
      await this.#clock.sleep(left > 0 ? millis(left) : retryAfter, signal);
    } catch {
      // Cut short by an earlier lease, which has its own nap, or by the close.
      return;
    }
    this.#nap = undefined;
    if (this.due().length > 0) this.#onDue();
    this.#arm();
  }
}
