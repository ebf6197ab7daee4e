import { ConsortError, messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { Wake } from "#base/wake.ts";
import { keys } from "#cluster/records.ts";
import type { Term } from "#cluster/term.ts";
import type { Store, StoreWrite } from "#drivers/store/port.ts";
import type { Event } from "#protocol/http/status.ts";

/**
 * What happened, in order, for readers who may come back. An event is shown once it is durable, so no cursor is ever
 * seen with two meanings. One that happened right before the manager died may be untold; that a manager started is an
 * event of its own, and hosts tell again how they are. A reader that would miss one that was told is refused (`gone`).
 *
 *   append ──► #unwritten ──(a commit, some at once)──► #kept ──(beyond eventsKept)──► forgotten
 */
export class EventLog {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #wake: Wake;
  readonly #term: Pick<Term, "condition" | "supersede" | "epoch"> | undefined;
  #kept: Event[] = [];
  #unwritten: Event[] = [];
  #cursor = 0;
  /** The newest cursor that is kept no more. */
  #forgotten = 0;
  readonly #readers = new Set<() => void>();

  constructor(parts: {
    readonly store: Store;
    readonly clock: Clock;
    readonly log: Log;
    readonly term?: Pick<Term, "condition" | "supersede" | "epoch">;
  }) {
    this.#term = parts.term;
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#wake = new Wake(parts.clock);
  }

  async load(signal: AbortSignal): Promise<void> {
    const { entries } = await this.#store.list(keys.prefix.event, signal);
    this.#kept = entries.map((entry) => entry.value as Event);
    this.#cursor = this.#kept.at(-1)?.cursor ?? 0;
    this.#forgotten = (this.#kept[0]?.cursor ?? 1) - 1;
  }

  append(kind: string, subject: string, message: string): void {
    this.#cursor += 1;
    this.#unwritten.push({ cursor: this.#cursor, atMs: this.#clock.now(), kind, subject, message });
    this.#wake.now();
  }

  /** Of the newest event there is to read. */
  lastCursor(): number {
    return this.#kept.at(-1)?.cursor ?? this.#forgotten;
  }

  async *read(afterCursor: number, signal: AbortSignal): AsyncIterable<Event> {
    let cursor = afterCursor === 0 ? this.#forgotten : afterCursor;
    const wake = new Wake(this.#clock);
    const tell = (): void => wake.now();
    this.#readers.add(tell);
    try {
      while (!signal.aborted) {
        for (const event of this.#after(cursor)) {
          cursor = event.cursor;
          yield event;
        }
        await wake.wait(limits.heartbeatMs, signal).catch(() => {});
      }
    } finally {
      this.#readers.delete(tell);
    }
  }

  /** Writes what was appended, until the signal aborts; what cannot be written now waits. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#wake.wait(limits.heartbeatMs, signal);
      try {
        while (this.#unwritten.length > 0) await this.#write(signal);
      } catch (cause) {
        signal.throwIfAborted();
        this.#log.error(`Cannot keep events: ${messageOf(cause)}`, {
          cause,
          waiting: this.#unwritten.length,
        });
        this.#giveUpOldest();
        await this.#clock.sleep(limits.heartbeatMs, signal);
      }
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const batch = this.#unwritten.slice(0, limits.eventsPerCommit);
    const excess = this.#kept.slice(0, Math.max(0, this.#kept.length + batch.length - limits.eventsKept));
    const writes: StoreWrite[] = [
      ...batch.map((event) => ({ put: keys.event(event.cursor), value: event })),
      ...excess.slice(0, limits.eventsPerCommit).map((event) => ({ delete: keys.event(event.cursor) })),
    ];
    const own = this.#term === undefined ? [] : [this.#term.condition];
    const result = await this.#store.commit(writes, own, signal);
    if (!result.committed) {
      this.#term?.supersede(this.#term.epoch + 1);
      throw new ConsortError("unavailable", "Cannot keep events: another cluster manager has taken over");
    }
    this.#unwritten.splice(0, batch.length);
    this.#kept.push(...batch);
    for (const event of this.#kept.splice(0, Math.min(excess.length, limits.eventsPerCommit)))
      this.#forgotten = event.cursor;
    for (const reader of this.#readers) reader();
  }

  /** A store that fails for long must not fill the memory. */
  #giveUpOldest(): void {
    const excess = this.#unwritten.splice(0, Math.max(0, this.#unwritten.length - limits.eventsKept));
    const last = excess.at(-1);
    if (last === undefined) return;
    // What is kept from before the gap would read as if nothing had been between.
    this.#forgotten = last.cursor;
    this.#kept = [];
  }

  #after(cursor: number): readonly Event[] {
    if (cursor < this.#forgotten) {
      throw new ConsortError(
        "gone",
        `Cannot resume after event ${cursor}: only those after ${this.#forgotten} are kept, read the state again`,
      );
    }
    if (cursor > this.lastCursor()) {
      throw new ConsortError(
        "gone",
        `Cannot resume after event ${cursor}: the newest is ${this.lastCursor()}, read the state again`,
      );
    }
    let low = 0;
    let high = this.#kept.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#kept[middle]?.cursor ?? 0) > cursor) high = middle;
      else low = middle + 1;
    }
    return this.#kept.slice(low);
  }
}
