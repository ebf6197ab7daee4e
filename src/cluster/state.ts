import { ConsortError } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord, HostRecord, OperationRecord, TunnelRecord } from "#cluster/records.ts";
import type { Store, StoreCondition, StoreWrite } from "#drivers/store/port.ts";

type Kept<Value> = { readonly value: Value; readonly revision: number };

/**
 * What is desired, as it is in the store, held in memory for reading. The store is written first; memory follows
 * only what is durable.
 */
export class ClusterState {
  readonly #store: Store;
  readonly #ensembles = new Map<string, Kept<EnsembleRecord>>();
  readonly #hosts = new Map<string, Kept<HostRecord>>();
  readonly #operations = new Map<string, Kept<OperationRecord>>();
  readonly #tunnels = new Map<string, Kept<TunnelRecord>>();
  #writing: Promise<void> = Promise.resolve();

  constructor(store: Store) {
    this.#store = store;
  }

  async load(signal: AbortSignal): Promise<void> {
    for (const prefix of Object.values(keys.prefix)) {
      if (prefix === keys.prefix.event) continue;
      const { entries } = await this.#store.list(prefix, signal);
      for (const entry of entries) this.#remember(entry.key, entry.value, entry.revision);
    }
  }

  ensembles(): EnsembleRecord[] {
    return [...this.#ensembles.values()].map((kept) => kept.value);
  }
  ensemble(name: string): EnsembleRecord | undefined {
    return this.#ensembles.get(name)?.value;
  }
  operations(): OperationRecord[] {
    return [...this.#operations.values()].map((kept) => kept.value);
  }
  operation(id: string): OperationRecord | undefined {
    return this.#operations.get(id)?.value;
  }
  hosts(): ReadonlyMap<HostId, HostRecord> {
    return new Map([...this.#hosts.values()].map((kept) => [kept.value.id, kept.value]));
  }
  tunnels(): ReadonlyMap<string, TunnelRecord> {
    return new Map([...this.#tunnels].map(([pair, kept]) => [pair, kept.value]));
  }

  /** Writes all or nothing, each on condition that nobody else wrote its key. Throws `conflict` when somebody did. */
  async commit(writes: readonly StoreWrite[], signal: AbortSignal): Promise<void> {
    const turn = this.#writing.then(() => this.#commitNow(writes, signal));
    this.#writing = turn.catch(() => {});
    await turn;
  }

  async #commitNow(writes: readonly StoreWrite[], signal: AbortSignal): Promise<void> {
    const conditions = writes.map((write): StoreCondition => {
      const key = "put" in write ? write.put : write.delete;
      return { key, revision: this.#revision(key) };
    });
    const result = await this.#store.commit(writes, conditions, signal);
    if (!result.committed) {
      throw new ConsortError(
        "conflict",
        `Cannot write ${result.conflicts.join(", ")}: another cluster manager changed it`,
      );
    }
    for (const write of writes) {
      if ("put" in write) this.#remember(write.put, write.value, result.revision);
      else this.#forget(write.delete);
    }
  }

  #revision(key: string): number {
    const [table, name] = this.#locate(key);
    return table?.get(name)?.revision ?? 0;
  }

  #remember(key: string, value: unknown, revision: number): void {
    const [table, name] = this.#locate(key);
    table?.set(name, { value, revision });
  }

  #forget(key: string): void {
    const [table, name] = this.#locate(key);
    table?.delete(name);
  }

  #locate(key: string): [Map<string, Kept<unknown>> | undefined, string] {
    const tables: readonly [string, Map<string, Kept<unknown>>][] = [
      [keys.prefix.ensemble, this.#ensembles],
      [keys.prefix.host, this.#hosts],
      [keys.prefix.operation, this.#operations],
      [keys.prefix.tunnel, this.#tunnels],
    ];
    const found = tables.find(([prefix]) => key.startsWith(prefix));
    return [found?.[1], found === undefined ? key : key.slice(found[0].length)];
  }
}
