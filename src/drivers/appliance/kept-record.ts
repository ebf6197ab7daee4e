import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";

/** Whose record it is, and how it is written: throws where it cannot be. */
export type RecordParts<Whole> = {
  readonly id: ApplianceId;
  readonly write: (record: Whole) => void;
  readonly log: Log;
};

/** What is known of one machine, and on disk as far as that could be written: its host's disk may be full. */
export class KeptRecord<Whole extends object> {
  readonly #parts: RecordParts<Whole>;
  #now: Whole;
  /** Something has happened that could not be written yet. */
  #isBehind = false;

  constructor(record: Whole, parts: RecordParts<Whole>) {
    this.#now = record;
    this.#parts = parts;
  }

  get now(): Whole {
    return this.#now;
  }

  /** What is about to be done is written down first. Throws `unavailable` where it cannot be, and nothing has changed. */
  save(change: Partial<Whole>): void {
    const record = { ...this.#now, ...change };
    const { id, write } = this.#parts;
    try {
      write(record);
    } catch (cause) {
      throw new ConsortError("unavailable", `Cannot write down how ${id} stands: ${messageOf(cause)}`, {
        cause,
      });
    }
    this.#now = record;
    this.#isBehind = false;
  }

  /** What has happened is so, whether or not it can be written: `catchUp` tries that again. Never throws. */
  note(change: Partial<Whole>): void {
    this.#now = { ...this.#now, ...change };
    try {
      this.save({});
    } catch (cause) {
      if (!this.#isBehind) this.#parts.log.warn(`${messageOf(cause)}; it is tried again`, { cause });
      this.#isBehind = true;
    }
  }

  /** As it is told from now on; on disk it is what it was, until the next change. */
  tellAs(record: Whole): void {
    this.#now = record;
  }

  /** From time to time. Never throws. */
  catchUp(): void {
    if (this.#isBehind) this.note({});
  }
}
