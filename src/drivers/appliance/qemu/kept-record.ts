import { ConsortError, messageOf } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { writeMachineRecord } from "./record.ts";
import type { MachineRecord } from "./record.ts";

/** What is known of one machine, and on disk as far as that could be written: its host's disk may be full. */
export class KeptRecord {
  readonly #directory: string;
  readonly #log: Log;
  #now: MachineRecord;
  /** Something has happened that could not be written yet. */
  #isBehind = false;

  constructor(directory: string, record: MachineRecord, log: Log) {
    this.#directory = directory;
    this.#now = record;
    this.#log = log;
  }

  get now(): MachineRecord {
    return this.#now;
  }

  /** What is about to be done is written down first. Throws `unavailable` where it cannot be, and nothing has changed. */
  save(change: Partial<MachineRecord>): void {
    const record = { ...this.#now, ...change };
    try {
      writeMachineRecord(this.#directory, record);
    } catch (cause) {
      const { id } = record.plan;
      throw new ConsortError("unavailable", `Cannot write down how ${id} stands: ${messageOf(cause)}`, {
        cause,
      });
    }
    this.#now = record;
    this.#isBehind = false;
  }

  /** What has happened is so, whether or not it can be written: `catchUp` tries that again. Never throws. */
  note(change: Partial<MachineRecord>): void {
    this.#now = { ...this.#now, ...change };
    try {
      this.save({});
    } catch (cause) {
      if (!this.#isBehind) this.#log.warn(`${messageOf(cause)}; it is tried again`, { cause });
      this.#isBehind = true;
    }
  }

  /** From time to time. Never throws. */
  catchUp(): void {
    if (this.#isBehind) this.note({});
  }
}
