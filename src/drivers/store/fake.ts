import type { Clock, Log, Random } from "#base/runtime.ts";
import type { KeyChange } from "#drivers/store/commit-check.ts";
import { historyCut } from "#drivers/store/history-cut.ts";
import { storeLimits } from "#drivers/store/limits.ts";
import type { Store } from "#drivers/store/port.ts";
import type { Shelf, ShelfChange, ShelfRow } from "#drivers/store/shelf.ts";
import { ShelvedStore } from "#drivers/store/shelved-store.ts";

/** A store in memory, for tests and simulations. What it keeps dies with it. */
export function fakeStore(options: { clock: Clock; random: Random; log: Log }): Store {
  return new ShelvedStore({ ...options, shelf: new MemoryShelf() });
}

/** Rows in memory. */
export class MemoryShelf implements Shelf {
  readonly #rows = new Map<string, ShelfRow & { readonly lease?: string }>();
  readonly #leases = new Map<string, number>();
  #history: ShelfChange[] = [];
  #historyBytes = 0;
  #revision = 0;
  #forgotten = 0;

  revision(): number {
    return this.#revision;
  }

  forgotten(): number {
    return this.#forgotten;
  }

  get(key: string): ShelfRow | undefined {
    return this.#rows.get(key);
  }

  list(prefix: string): readonly ShelfRow[] {
    return [...this.#rows.values()]
      .filter((row) => row.key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  apply(changes: readonly KeyChange[], endedLeases: readonly string[]): number {
    for (const lease of endedLeases) this.#leases.delete(lease);
    if (changes.length === 0) return this.#revision;
    this.#revision += 1;
    for (const { key, text, lease } of changes) {
      if (text === undefined) this.#rows.delete(key);
      else {
        this.#rows.set(key, {
          key,
          text,
          revision: this.#revision,
          ...(lease === undefined ? {} : { lease }),
        });
      }
      this.#history.push({ revision: this.#revision, key, ...(text === undefined ? {} : { text }) });
      this.#historyBytes += sizeOf({ key, text });
    }
    this.#forget();
    return this.#revision;
  }

  changes(prefix: string, after: number, upTo: number): readonly ShelfChange[] {
    return this.#history.filter(
      (change) => change.revision > after && change.revision <= upTo && change.key.startsWith(prefix),
    );
  }

  keysOf(lease: string): readonly string[] {
    return [...this.#rows.values()].filter((row) => row.lease === lease).map((row) => row.key);
  }

  leases(): readonly { id: string; ttlMs: number }[] {
    return [...this.#leases].map(([id, ttlMs]) => ({ id, ttlMs }));
  }

  addLease(id: string, ttlMs: number): void {
    this.#leases.set(id, ttlMs);
  }

  close(): void {
    this.#rows.clear();
  }

  #forget(): void {
    const newestFirst = this.#history
      .values()
      .map((change) => ({ revision: change.revision, bytes: sizeOf(change) }));
    const cut = historyCut(
      { revisions: this.#revision - this.#forgotten, bytes: this.#historyBytes },
      { [Symbol.iterator]: () => [...newestFirst].reverse().values() },
      { revisionsMax: storeLimits.historyRevisionsMax, bytesMax: storeLimits.historyBytesMax },
    );
    if (cut === 0) return;
    this.#forgotten = cut;
    this.#history = this.#history.filter((change) => change.revision > cut);
    this.#historyBytes = this.#history.reduce((sum, change) => sum + sizeOf(change), 0);
  }
}

const sizeOf = (change: { key: string; text?: string | undefined }): number =>
  change.key.length + (change.text?.length ?? 0);
