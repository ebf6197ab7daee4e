import { ConsortError } from "#base/errors.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { checkCommit } from "#drivers/store/commit-check.ts";
import { LeaseBook } from "#drivers/store/lease-book.ts";
import { storeLimits } from "#drivers/store/limits.ts";
import type {
  CommitResult,
  Store,
  StoreCondition,
  StoreEntry,
  StoreEvent,
  StoreWrite,
} from "#drivers/store/port.ts";
import type { Shelf, ShelfChange, ShelfRow } from "#drivers/store/shelf.ts";

const leaseIdBytes = 8;

/** The rules of a store over any shelf: conditions, leases, watching. */
export class ShelvedStore implements Store {
  readonly #shelf: Shelf;
  readonly #random: Random;
  readonly #leases: LeaseBook;
  readonly #closed = new AbortController();
  #waiting = new Set<() => void>();

  constructor(options: { shelf: Shelf; clock: Clock; random: Random; log: Log }) {
    this.#shelf = options.shelf;
    this.#random = options.random;
    this.#leases = new LeaseBook(options.clock, () => {
      try {
        this.#endDueLeases();
      } catch (error) {
        // The next call tries again before it reads, so nobody sees what should be gone.
        options.log.error("Cannot end leases", { error });
      }
    });
    for (const lease of options.shelf.leases()) this.#leases.add(lease.id, millis(lease.ttlMs));
  }

  async get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined> {
    this.#enter(signal);
    const row = this.#shelf.get(key);
    return row === undefined ? undefined : entryOf(row);
  }

  async list(
    prefix: string,
    signal: AbortSignal,
  ): Promise<{ entries: readonly StoreEntry[]; revision: number }> {
    this.#enter(signal);
    return { entries: this.#shelf.list(prefix).map(entryOf), revision: this.#shelf.revision() };
  }

  async commit(
    writes: readonly StoreWrite[],
    conditions: readonly StoreCondition[],
    signal: AbortSignal,
  ): Promise<CommitResult> {
    this.#enter(signal);
    const changes = checkCommit(writes, conditions);
    const conflicts = conditions.filter(
      (condition) => (this.#shelf.get(condition.key)?.revision ?? 0) !== condition.revision,
    );
    if (conflicts.length > 0) return { committed: false, conflicts: conflicts.map((one) => one.key) };
    for (const change of changes) {
      if (change.lease !== undefined && !this.#leases.has(change.lease)) {
        throw new ConsortError("not_found", `Cannot put "${change.key}": its lease has ended`);
      }
    }
    const effective = changes.filter(
      (change) => change.text !== undefined || this.#shelf.get(change.key) !== undefined,
    );
    if (effective.length === 0) return { committed: true, revision: this.#shelf.revision() };
    return { committed: true, revision: this.#apply(effective, []) };
  }

  async *watch(
    prefix: string,
    fromRevision: number,
    signal: AbortSignal,
  ): AsyncIterable<readonly StoreEvent[]> {
    let seen = fromRevision;
    for (;;) {
      if (signal.aborted) return;
      this.#enter(signal);
      if (seen < this.#shelf.forgotten()) {
        throw new ConsortError(
          "gone",
          `Cannot watch "${prefix}" from revision ${seen}: only changes after ${this.#shelf.forgotten()} are kept`,
        );
      }
      const upTo = Math.min(this.#shelf.revision(), seen + storeLimits.watchWindowRevisions);
      if (upTo <= seen) {
        await this.#nextCommit(signal);
        continue;
      }
      const changes = this.#shelf.changes(prefix, seen, upTo);
      seen = upTo;
      for (const events of byCommit(changes)) {
        if (signal.aborted) return;
        yield events;
      }
    }
  }

  async grantLease(ttl: Millis, signal: AbortSignal): Promise<string> {
    this.#enter(signal);
    const id = this.#random.hex(leaseIdBytes);
    this.#shelf.addLease(id, ttl);
    this.#leases.add(id, ttl);
    return id;
  }

  async renewLease(lease: string, signal: AbortSignal): Promise<boolean> {
    this.#enter(signal);
    return this.#leases.renew(lease);
  }

  async revokeLease(lease: string, signal: AbortSignal): Promise<void> {
    this.#enter(signal);
    if (this.#leases.has(lease)) this.#end([lease]);
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    this.#leases.close();
    this.#shelf.close();
    this.#wakeAll();
  }

  #enter(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#closed.signal.aborted) {
      throw new ConsortError("unavailable", "Cannot use the store: it is closed");
    }
    this.#endDueLeases();
  }

  #endDueLeases(): void {
    const due = this.#leases.due();
    if (due.length > 0) this.#end(due);
  }

  #end(leases: readonly string[]): void {
    const keys = leases.flatMap((lease) => this.#shelf.keysOf(lease));
    this.#apply(
      keys.map((key) => ({ key })),
      leases,
    );
    this.#leases.drop(leases);
  }

  #apply(changes: Parameters<Shelf["apply"]>[0], endedLeases: readonly string[]): number {
    const revision = this.#shelf.apply(changes, endedLeases);
    this.#wakeAll();
    return revision;
  }

  #wakeAll(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  #nextCommit(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

const entryOf = (row: ShelfRow): StoreEntry => ({
  key: row.key,
  value: JSON.parse(row.text) as unknown,
  revision: row.revision,
});

function byCommit(changes: readonly ShelfChange[]): StoreEvent[][] {
  const commits: StoreEvent[][] = [];
  for (const { revision, key, text } of changes) {
    const event =
      text === undefined ? { revision, key } : { revision, key, value: JSON.parse(text) as unknown };
    const last = commits.at(-1);
    if (last?.[0]?.revision === revision) last.push(event);
    else commits.push([event]);
  }
  return commits;
}
