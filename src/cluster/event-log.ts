import { ConsortError } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock } from "#base/runtime.ts";
import { Wake } from "#base/wake.ts";
import { keys } from "#cluster/records.ts";
import type { Store, StoreWrite } from "#drivers/store/port.ts";
import type { Event } from "#protocol/http/status.ts";

/**
 * What happened, in order, for readers who may come back. Written behind: an event may be lost when the manager
 * dies within the moment, a change never is (that is in the store before it is acknowledged). Cursors are never
 * used twice: a restart skips ahead by more than can have been unwritten.
 */
export class EventLog {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #wake: Wake;
  #kept: Event[] = [];
  #unwritten: Event[] = [];
  #cursor = 0;
  readonly #readers = new Set<() => void>();

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#wake = new Wake(clock);
  }

  async load(signal: AbortSignal): Promise<void> {
    const { entries } = await this.#store.list(keys.prefix.event, signal);
    this.#kept = entries.map((entry) => entry.value as Event);
    this.#cursor = (this.#kept.at(-1)?.cursor ?? 0) + limits.eventBacklogMax;
  }

  append(kind: string, subject: string, message: string): void {
    this.#cursor += 1;
    const event = { cursor: this.#cursor, atMs: this.#clock.now(), kind, subject, message };
    this.#kept.push(event);
    this.#unwritten.push(event);
    this.#wake.now();
    for (const reader of this.#readers) reader();
  }

  lastCursor(): number {
    return this.#cursor;
  }

  async *read(afterCursor: number, signal: AbortSignal): AsyncIterable<Event> {
    const oldest = this.#kept[0]?.cursor ?? this.#cursor + 1;
    if (afterCursor > 0 && afterCursor < oldest - limits.eventBacklogMax - 1) {
      throw new ConsortError(
        "gone",
        `Cannot resume after event ${afterCursor}: the oldest kept is ${oldest}`,
      );
    }
    let cursor = afterCursor;
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

  /** Writes what was appended, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wake.wait(limits.heartbeatMs, signal);
      await this.#write(signal);
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const batch = this.#unwritten;
    if (batch.length === 0) return;
    this.#unwritten = [];
    const excess = this.#kept.splice(0, Math.max(0, this.#kept.length - limits.eventsKept));
    const writes: StoreWrite[] = [
      ...batch.map((event) => ({ put: keys.event(event.cursor), value: event })),
      ...excess.map((event) => ({ delete: keys.event(event.cursor) })),
    ];
    await this.#store.commit(writes, [], signal);
  }

  #after(cursor: number): readonly Event[] {
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
