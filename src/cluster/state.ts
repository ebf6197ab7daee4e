import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { ImageRecord } from "#cluster/images.ts";
import type { StoreRecord } from "#cluster/checkpoint-stores.ts";
import type { CheckpointRequest, CheckpointsRecord } from "#cluster/checkpoints.ts";
import type { JobRecord } from "#cluster/jobs.ts";
import { keys } from "#cluster/records.ts";
import type {
  EnsembleRecord,
  HostRecord,
  HostStanding,
  OperationRecord,
  TunnelRecord,
} from "#cluster/records.ts";
import { Whereabouts } from "#cluster/whereabouts.ts";
import type { Term } from "#cluster/term.ts";
import type { Store, StoreCondition, StoreEntry, StoreWrite } from "#drivers/store/port.ts";

const openStanding: HostStanding = { fenced: false, scheduling: "open" };

/**
 * What is desired, as it is in the store, held in memory for reading. The store is written first; memory follows
 * only what is durable. The maps are live: they show what is, also after the next change.
 */
export class ClusterState {
  readonly #store: Store;
  readonly #ensembles = new Map<string, EnsembleRecord>();
  readonly #hosts = new Map<HostId, HostRecord>();
  readonly #operations = new Map<string, OperationRecord>();
  readonly #tunnels = new Map<string, TunnelRecord>();
  readonly #jobs = new Map<string, JobRecord>();
  readonly #checkpoints = new Map<string, CheckpointsRecord>();
  readonly #checkpointRequests = new Map<string, CheckpointRequest>();
  readonly #stores = new Map<string, StoreRecord>();
  readonly #images = new Map<string, ImageRecord>();
  readonly #standings = new Map<HostId, HostStanding>();
  readonly #revisions = new Map<string, number>();
  /** Whose writes these are: none is made once a later term has begun. */
  readonly #term: Pick<Term, "condition" | "supersede" | "epoch"> | undefined;
  #version = 0;
  readonly #whereabouts = new Whereabouts();
  #writing: Promise<unknown> = Promise.resolve();
  /** A commit failed without telling whether it had its effect. */
  #inDoubt = false;
  #loads = 0;

  constructor(store: Store, term?: Pick<Term, "condition" | "supersede" | "epoch">) {
    this.#store = store;
    this.#term = term;
  }

  async load(signal: AbortSignal): Promise<void> {
    const found: StoreEntry[] = [];
    for (const prefix of loadedPrefixes) {
      found.push(...(await this.#store.list(prefix, signal)).entries);
    }
    // At once: who reads meanwhile sees what was known before, and never half of it.
    this.#revisions.clear();
    this.#whereabouts.clear();
    for (const [, table] of this.#tables()) table.clear();
    for (const entry of found) this.#remember(entry.key, entry.value, entry.revision);
    this.#inDoubt = false;
    this.#loads += 1;
    this.#version += 1;
  }

  /** Counts how often all was read from the store: what was decided on before the last time has to be decided again. */
  loads(): number {
    return this.#loads;
  }

  /** Reads again what the store has, if the outcome of a write is not known. */
  settle(signal: AbortSignal): Promise<void> {
    if (!this.#inDoubt) return Promise.resolve();
    return this.change(() => ({ writes: [], result: undefined }), signal);
  }

  /** Grows with every change of an ensemble, a host, a tunnel or a job: what was computed at the same version still holds. */
  version(): number {
    return this.#version;
  }

  ensembles(): EnsembleRecord[] {
    return [...this.#ensembles.values()];
  }
  ensemble(name: string): EnsembleRecord | undefined {
    return this.#ensembles.get(name);
  }
  operations(): OperationRecord[] {
    return [...this.#operations.values()];
  }
  operation(id: string): OperationRecord | undefined {
    return this.#operations.get(id);
  }
  /** Records by the hosts their appliances are placed on, and those that wait for a host to be left or found. */
  whereabouts(): Omit<Whereabouts, "replace" | "clear"> {
    return this.#whereabouts;
  }
  hosts(): ReadonlyMap<HostId, HostRecord> {
    return this.#hosts;
  }
  tunnels(): ReadonlyMap<string, TunnelRecord> {
    return this.#tunnels;
  }

  jobs(): ReadonlyMap<string, JobRecord> {
    return this.#jobs;
  }
  /** By appliance. */
  checkpoints(): ReadonlyMap<string, CheckpointsRecord> {
    return this.#checkpoints;
  }
  checkpointRequests(): ReadonlyMap<string, CheckpointRequest> {
    return this.#checkpointRequests;
  }

  /** Places in stores outside the cloud, by id. */
  stores(): ReadonlyMap<string, StoreRecord> {
    return this.#stores;
  }

  /** The catalogue, by name. */
  images(): ReadonlyMap<string, ImageRecord> {
    return this.#images;
  }

  standing(id: HostId): HostStanding {
    return this.#standings.get(id) ?? openStanding;
  }
  standings(): ReadonlyMap<HostId, HostStanding> {
    return this.#standings;
  }

  /**
   * Decides and writes in one turn: `decide` sees what all changes before it made, and what it returns is written
   * before the next one is asked. All writes or none; what it throws is thrown, and nothing is written. Throws
   * `unavailable` when another manager has taken over. After a write whose outcome was not told, what the store
   * really has is read again first.
   */
  change<Result>(
    decide: () => { readonly writes: readonly StoreWrite[]; readonly result: Result },
    signal: AbortSignal,
  ): Promise<Result> {
    const turn = this.#writing.then(async () => {
      if (this.#inDoubt) await this.load(signal);
      const { writes, result } = decide();
      await this.#commit(writes, signal);
      return result;
    });
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #commit(writes: readonly StoreWrite[], signal: AbortSignal): Promise<void> {
    if (writes.length === 0) return;
    const conditions = writes.map((write): StoreCondition => {
      const key = keyOf(write);
      return { key, revision: this.#revisions.get(key) ?? 0 };
    });
    const own = this.#term === undefined ? [] : [this.#term.condition];
    this.#inDoubt = true;
    const result = await this.#store.commit(writes, [...own, ...conditions], signal);
    if (!result.committed) {
      if (result.conflicts.includes(keys.epoch)) this.#term?.supersede(this.#term.epoch + 1);
      throw new ConsortError(
        "unavailable",
        "Cannot change what is desired: another cluster manager has taken over",
        { details: { conflicts: result.conflicts } },
      );
    }
    this.#inDoubt = false;
    for (const write of writes) {
      if ("put" in write) this.#remember(write.put, write.value, result.revision);
      else this.#forget(write.delete);
    }
  }

  #remember(key: string, value: unknown, revision: number): void {
    this.#revisions.set(key, revision);
    const [table, name] = this.#locate(key);
    if (table === this.#ensembles) {
      this.#whereabouts.replace(name, this.#ensembles.get(name), value as EnsembleRecord);
    }
    table?.set(name, value);
  }

  #forget(key: string): void {
    this.#revisions.delete(key);
    const [table, name] = this.#locate(key);
    if (table === this.#ensembles) this.#whereabouts.replace(name, this.#ensembles.get(name), undefined);
    table?.delete(name);
  }

  #locate(key: string): [Map<string, unknown> | undefined, string] {
    const tables = this.#tables();
    const found = tables.find(([prefix]) => key.startsWith(prefix));
    if (found?.[0] !== keys.prefix.operation) this.#version += 1;
    return [found?.[1], found === undefined ? key : key.slice(found[0].length)];
  }

  #tables(): readonly [string, Map<string, unknown>][] {
    return [
      [keys.prefix.ensemble, this.#ensembles],
      [keys.prefix.host, this.#hosts],
      [keys.prefix.standing, this.#standings],
      [keys.prefix.operation, this.#operations],
      [keys.prefix.tunnel, this.#tunnels],
      [keys.prefix.job, this.#jobs],
      [keys.prefix.checkpoints, this.#checkpoints],
      [keys.prefix.checkpointRequest, this.#checkpointRequests],
      [keys.prefix.checkpointStore, this.#stores],
      [keys.prefix.image, this.#images],
    ];
  }
}

/** Requests for checkpoints and places in stores begin alike, and are listed in one go. */
const listedTogether = "checkpoint-";
const loadedPrefixes = [
  ...new Set(
    Object.values(keys.prefix)
      .filter((prefix) => prefix !== keys.prefix.event)
      .map((prefix) => (prefix.startsWith(listedTogether) ? listedTogether : prefix)),
  ),
];

const keyOf = (write: StoreWrite): string => ("put" in write ? write.put : write.delete);

/** Where an appliance of a present ensemble is to be. */
export function placementOf(state: Pick<ClusterState, "ensemble">, id: ApplianceId): HostId | undefined {
  const record = state.ensemble(id.slice(0, id.indexOf("/")));
  return record?.state === "present" ? record.placements[id] : undefined;
}
