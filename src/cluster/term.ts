import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import { keys } from "#cluster/records.ts";
import type { Store, StoreCondition } from "#drivers/store/port.ts";

/**
 * One cluster manager's time in charge, numbered by its epoch. A later one ends it, and it may not know at once: it
 * may have slept. So everything it writes is conditional on the epoch still being its own, and what it grants to hosts
 * ends with what it last knew for certain.
 *
 *   take ──► in charge ──(the store, a commit or a host tells of a later epoch)──► superseded, for good
 */
export class Term {
  readonly epoch: number;
  readonly #revision: number;
  readonly #store: Store;
  readonly #clock: Clock;
  #confirmedAt: Millis;
  #supersededBy: number | undefined;
  #onSuperseded: () => void = () => {};

  private constructor(parts: { epoch: number; revision: number; at: Millis; store: Store; clock: Clock }) {
    this.epoch = parts.epoch;
    this.#revision = parts.revision;
    this.#confirmedAt = parts.at;
    this.#store = parts.store;
    this.#clock = parts.clock;
  }

  /** Raises the epoch, durably, before anything is sent under it. */
  static async take(store: Store, clock: Clock, signal: AbortSignal): Promise<Term> {
    for (;;) {
      const at = clock.monotonic();
      const entry = await store.get(keys.epoch, signal);
      const epoch = epochOf(entry?.value) + 1;
      const result = await store.commit(
        [{ put: keys.epoch, value: epoch }],
        [{ key: keys.epoch, revision: entry?.revision ?? 0 }],
        signal,
      );
      if (result.committed) return new Term({ epoch, revision: result.revision, at, store, clock });
    }
  }

  /** Holds as long as nobody has taken a later epoch. */
  get condition(): StoreCondition {
    return { key: keys.epoch, revision: this.#revision };
  }

  /** A moment of the monotonic clock at which this term had certainly not ended. */
  get confirmedAt(): Millis {
    return this.#confirmedAt;
  }

  /** The epoch that ended this one, as far as that is known. */
  get supersededBy(): number | undefined {
    return this.#supersededBy;
  }

  /** Asks the store whether it goes on. */
  async confirm(signal: AbortSignal): Promise<void> {
    const at = this.#clock.monotonic();
    const entry = await this.#store.get(keys.epoch, signal);
    if (entry?.revision === this.#revision) this.#confirmedAt = at;
    else this.supersede(epochOf(entry?.value));
  }

  supersede(by: number): void {
    this.#supersededBy = Math.max(by, this.#supersededBy ?? 0);
    this.#onSuperseded();
  }

  onSuperseded(listener: () => void): void {
    this.#onSuperseded = listener;
  }
}

/**
 * A host obeys a later epoch than this store knows of: another manager's, or this one's from before its store was
 * lost. The next one to take an epoch from this store takes a later one still.
 */
export async function noteEpoch(store: Store, seen: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const entry = await store.get(keys.epoch, signal);
    if (epochOf(entry?.value) >= seen) return;
    const result = await store.commit(
      [{ put: keys.epoch, value: seen }],
      [{ key: keys.epoch, revision: entry?.revision ?? 0 }],
      signal,
    );
    if (result.committed) return;
  }
}

const epochOf = (value: unknown): number => (typeof value === "number" ? value : 0);
