import type { HostId } from "#base/ids.ts";
import { nextStores, placeOf } from "#cluster/checkpoint-stores.ts";
import type { StoreRecord, StoresNext } from "#cluster/checkpoint-stores.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { keys } from "#cluster/records.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import type { HostReport, StoreReport } from "#protocol/host-report.ts";

const idBytes = 8;

/** Keeps places in stores outside the cloud on record from before they are used until they are empty. */
export class CheckpointStoreReconciler {
  readonly #context: ClusterContext;
  /** What hosts told last of places that they could not remove from. */
  readonly #problems = new Map<HostId, string>();
  /** Nothing was to be done when the desired state was of this version; only places that are emptied wait for more. */
  #quietAt = -1;

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  /** Whether a host tells anything new. */
  hear({ host, stores = [] }: HostReport): boolean {
    const before = this.#problems.get(host) ?? "";
    const text = stores.length === 0 ? "" : JSON.stringify(stores);
    if (before === text) return false;
    if (text === "") this.#problems.delete(host);
    else this.#problems.set(host, text);
    this.#tellProblems(host, before === "" ? [] : (JSON.parse(before) as StoreReport[]), stores);
    return true;
  }

  async step(signal: AbortSignal): Promise<void> {
    const { state, wake, events } = this.#context;
    const isWaiting = [...state.stores().values()].some(({ emptying }) => emptying !== undefined);
    if (this.#quietAt === state.version() && !isWaiting) return;
    this.#quietAt = state.version();
    const first = this.#next();
    if (first.put.length === 0 && first.forget.length === 0) return;
    const next = await state.change(() => {
      const now = this.#next();
      return { writes: writesOf(now), result: now };
    }, signal);
    for (const one of next.forget)
      events.append("checkpoint.removed", one.appliance, `${placeOf(one)} is empty`);
    wake.now();
  }

  #next(): StoresNext {
    const { state, seen, parts } = this.#context;
    return nextStores(state.stores().values(), state.ensembles(), {
      nowMs: parts.clock.now(),
      newId: () => parts.random.hex(idBytes),
      known: (id) => state.checkpoints().get(id),
      isThere: (host) => seen.isThere(host),
      isKnown: (host) => state.hosts().has(host),
      able: () =>
        [...state.hosts().values()].flatMap(({ id, blobPort }) =>
          blobPort !== undefined && seen.isFresh(id) ? [id] : [],
        ),
      report: (host) => seen.freshReport(host)?.stores ?? [],
    });
  }

  #tellProblems(host: HostId, before: readonly StoreReport[], now: readonly StoreReport[]): void {
    const had = new Set(before.flatMap(({ place, message }) => (message === undefined ? [] : [place])));
    const records = [...this.#context.state.stores().values()];
    for (const { place, message } of now) {
      if (message === undefined || had.has(place)) continue;
      const appliance = records.find((one) => placeOf(one) === place)?.appliance;
      if (appliance === undefined) continue;
      this.#context.events.append(
        "checkpoint.left",
        appliance,
        `${host} cannot remove what is not needed from ${place}, and goes on trying: ${message}`,
      );
    }
  }
}

const writesOf = ({ put, forget }: StoresNext): StoreWrite[] => [
  ...put.map((one: StoreRecord): StoreWrite => ({ put: keys.checkpointStore(one.id), value: one })),
  ...forget.map((one): StoreWrite => ({ delete: keys.checkpointStore(one.id) })),
];
