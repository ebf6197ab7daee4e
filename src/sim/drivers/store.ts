import { ConsortError } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { seededRandom } from "#base/seeded-random.ts";
import type { KeyChange } from "#drivers/store/commit-check.ts";
import { MemoryShelf } from "#drivers/store/fake.ts";
import type { Store, StoreEntry } from "#drivers/store/port.ts";
import { ShelvedStore } from "#drivers/store/shelved-store.ts";
import { diskFull, slowed } from "#sim/drivers/disk.ts";
import type { DiskState } from "#sim/drivers/disk.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { Spread } from "#sim/settings.ts";

/** A shelf that tells of every commit. */
class WatchedShelf extends MemoryShelf {
  readonly #onCommit: (keys: readonly string[]) => void;

  constructor(onCommit: (keys: readonly string[]) => void) {
    super();
    this.#onCommit = onCommit;
  }

  override apply(changes: readonly KeyChange[], endedLeases: readonly string[]): number {
    const revision = super.apply(changes, endedLeases);
    this.#onCommit(changes.map((change) => change.key));
    return revision;
  }
}

/** A store beside the processes, as etcd is: it outlives them, and several may use it at once. */
export class SimulatedStore {
  readonly disk: DiskState = { delayMs: 0, full: false };
  isDown = false;
  readonly #store: Store;
  readonly #shelf: WatchedShelf;
  readonly #listeners: ((keys: readonly string[]) => void)[] = [];
  readonly #read = new Map<string, StoreEntry>();

  constructor(parts: { clock: Clock; log: Log; seed: number }) {
    this.#shelf = new WatchedShelf((changed) => {
      for (const listener of this.#listeners) listener(changed);
    });
    this.#store = new ShelvedStore({
      shelf: this.#shelf,
      clock: parts.clock,
      random: seededRandom(parts.seed),
      log: parts.log,
    });
  }

  onCommit(listener: (keys: readonly string[]) => void): void {
    this.#listeners.push(listener);
  }

  /** Of the newest commit. */
  revision(): number {
    return this.#shelf.revision();
  }

  /** What is durable under the prefix, in key order. */
  entries(prefix: string): readonly StoreEntry[] {
    return this.#shelf.list(prefix).map((row) => {
      const known = this.#read.get(row.key);
      if (known?.revision === row.revision) return known;
      const entry = { key: row.key, value: JSON.parse(row.text) as unknown, revision: row.revision };
      this.#read.set(row.key, entry);
      return entry;
    });
  }

  /** Puts records there before anybody looks. */
  fill(records: ReadonlyMap<string, unknown>): void {
    this.#shelf.apply(
      [...records].map(([key, value]) => ({ key, text: JSON.stringify(value) })),
      [],
    );
  }

  /** As one life of a process uses it. `isReachable`: nothing is cut between the two. */
  openFor(life: Incarnation, storeMs: Spread, isReachable: () => boolean): Store {
    const check = (): void => {
      if (this.isDown || !isReachable()) {
        throw new ConsortError("unavailable", "Cannot use the store: it does not answer");
      }
    };
    const call = <Result>(what: string, work: () => Promise<Result>): Promise<Result> =>
      life
        .call(`store, ${what}`, slowed(storeMs, this.disk), () => {
          check();
          return work();
        })
        .then((result) => {
          // What it did is done, but nobody hears of it.
          check();
          return result;
        });
    const inner = this.#store;
    return {
      get: (key, signal) => call("get", () => inner.get(key, signal)),
      list: (prefix, signal) => call("list", () => inner.list(prefix, signal)),
      commit: (writes, conditions, signal) =>
        call("commit", () => {
          if (this.disk.full) throw diskFull("commit");
          return inner.commit(writes, conditions, signal);
        }),
      async *watch(prefix, fromRevision, signal) {
        for await (const events of inner.watch(prefix, fromRevision, signal)) {
          await call("watch", () => Promise.resolve());
          yield events;
        }
      },
      grantLease: (ttl, signal) => call("grant a lease", () => inner.grantLease(ttl, signal)),
      renewLease: (lease, signal) => call("renew a lease", () => inner.renewLease(lease, signal)),
      revokeLease: (lease, signal) => call("revoke a lease", () => inner.revokeLease(lease, signal)),
      close: () => Promise.resolve(),
    };
  }
}
