import type { HostId } from "#base/ids.ts";
import type { Scheduled } from "#sim/kernel/event-heap.ts";
import type { PlaceClock } from "#sim/kernel/place-clock.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";

/** So much after its end a lease has surely ended, whatever was rounded. */
const roundingMs = 1e-6;

type MachineClock = { readonly host: HostId; readonly time: VirtualTime; readonly clock: PlaceClock };

/** Until when a machine may run what is leased, by its own monotonic clock. */
export class MachineLease {
  readonly #of: MachineClock;
  readonly #onEnd: () => void;
  #until: number | undefined;
  #timer: Scheduled | undefined;

  constructor(of: MachineClock, onEnd: () => void) {
    this.#of = of;
    this.#onEnd = onEnd;
  }

  lasts(): boolean {
    return this.#until !== undefined && this.#of.clock.monotonic() < this.#until;
  }

  /** An earlier moment than it has is ignored. `onGained` is called if there was none that lasted. */
  renew(until: number, onGained: () => void): void {
    const before = this.#until;
    if (before !== undefined && until <= before) return;
    const lapsed = !this.lasts();
    this.#until = until;
    if (lapsed) onGained();
    this.#timer ??= this.#watch();
  }

  /** Nobody remembers it, and it does not end either. */
  drop(): void {
    if (this.#timer !== undefined) this.#of.time.cancel(this.#timer);
    this.#timer = undefined;
    this.#until = undefined;
  }

  #watch(): Scheduled | undefined {
    const { time, clock, host } = this.#of;
    const until = this.#until;
    if (until === undefined || until <= clock.monotonic()) return undefined;
    return time.schedule(clock.whenShows(until) + roundingMs, undefined, `${host}: the lease may end`, () => {
      this.#timer = this.#watch();
      if (this.#timer === undefined) this.#onEnd();
    });
  }
}
