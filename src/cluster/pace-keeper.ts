import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import { paceFor, paceWithLease, slower } from "#cluster/pace.ts";
import type { Pace } from "#cluster/pace.ts";
import { keys } from "#cluster/records.ts";
import type { Term } from "#cluster/term.ts";
import type { Store } from "#drivers/store/port.ts";

/**
 * Keeps on record the longest lease any host may hold, so that the next manager waits long enough before it takes a
 * silent host for lost.
 *
 *   grows:   recorded first, granted afterwards
 *   shrinks: only with the next manager, which grants less at once and records it when all of before has ended
 */
export class PaceKeeper {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #term: Pick<Term, "condition">;
  readonly #since: Millis;
  #recorded: Pace;
  #granted: Pace;

  private constructor(parts: { store: Store; clock: Clock; term: Term; recorded: Pace }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#term = parts.term;
    this.#since = parts.clock.monotonic();
    this.#recorded = parts.recorded;
    this.#granted = paceFor(0);
  }

  static async load(store: Store, clock: Clock, term: Term, signal: AbortSignal): Promise<PaceKeeper> {
    const entry = await store.get(keys.lease, signal);
    const recorded = paceWithLease(typeof entry?.value === "number" ? entry.value : 0);
    return new PaceKeeper({ store, clock, term, recorded });
  }

  /** What is granted now. */
  current(): Pace {
    return this.#granted;
  }

  /** How long hosts may go on with what managers before this one granted them. */
  inherited(): Pace {
    return this.#recorded;
  }

  /** Follows the number of hosts. */
  async follow(hosts: number, signal: AbortSignal): Promise<void> {
    const wanted = slower(paceFor(hosts), this.#granted);
    if (wanted.leaseMs > this.#recorded.leaseMs) await this.#record(wanted, signal);
    if (wanted.leaseMs > this.#recorded.leaseMs) return;
    this.#granted = wanted;
    const inheritedEnded = this.#clock.monotonic() - this.#since > this.#recorded.silenceMs;
    if (wanted.leaseMs < this.#recorded.leaseMs && inheritedEnded) await this.#record(wanted, signal);
  }

  async #record(pace: Pace, signal: AbortSignal): Promise<void> {
    const result = await this.#store.commit(
      [{ put: keys.lease, value: pace.leaseMs }],
      [this.#term.condition],
      signal,
    );
    if (result.committed) this.#recorded = pace;
  }
}
