import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { newsOfCheckpoints, nextOfRequest } from "#cluster/checkpoints.ts";
import type { CheckpointRequest, CheckpointsRecord, CheckpointWorld } from "#cluster/checkpoints.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { nextRestores } from "#cluster/refused-restores.ts";
import type { RestoreNews } from "#cluster/refused-restores.ts";
import { nextParked } from "#cluster/parking.ts";
import type { Parked } from "#cluster/parking.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { placementOf } from "#cluster/state.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { HostReport } from "#protocol/host-report.ts";

/** Keeps on record what hosts tell of complete checkpoints, and follows requests to their end (checkpoints.ts). */
export class CheckpointReconciler {
  readonly #context: ClusterContext;
  /** What hosts told last, as text. */
  readonly #told = new Map<HostId, string>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  /** Whether a host tells anything new. */
  hear({ host, appliances, checkpoints = [], checkpointRequests = [] }: HostReport): boolean {
    const text = [
      ...checkpoints.map(
        ({ checkpoint, copies }) => `${checkpoint.id} ${checkpoint.memory?.digest} ${copies.join()}`,
      ),
      ...checkpointRequests.map(({ id, appliance, state }) => `${id} ${appliance} ${state}`),
      ...appliances.flatMap(({ id, vm }) =>
        vm?.refused?.final === true ? [`${id} ${vm.refused.checkpoint}`] : [],
      ),
    ].join("\n");
    const isNews = (this.#told.get(host) ?? "") !== text;
    if (text === "") this.#told.delete(host);
    else this.#told.set(host, text);
    return isNews;
  }

  async step(signal: AbortSignal): Promise<void> {
    const { state, wake } = this.#context;
    if (this.#next().writes.length === 0) return;
    const changed = await state.change(() => {
      const next = this.#next();
      return { writes: next.writes, result: next };
    }, signal);
    for (const { before, after } of changed.news) this.#tellTaken(before, after);
    for (const request of changed.requests) this.#tellOver(request);
    for (const { before, after } of changed.parked) this.#tellParked(before, after);
    for (const { appliance, message } of changed.refused) {
      this.#context.events.append("checkpoint.refused", appliance, message);
    }
    wake.now();
  }

  #next(): {
    writes: StoreWrite[];
    news: { before: CheckpointsRecord | undefined; after: CheckpointsRecord }[];
    requests: CheckpointRequest[];
    parked: { before: EnsembleRecord; after: EnsembleRecord }[];
    refused: readonly RestoreNews[];
  } {
    const { state, seen } = this.#context;
    const world = this.#world();
    const news = [...this.#told.keys()].flatMap((host) => newsOfCheckpoints(host, world));
    const fresh = new Map(news.map((record) => [record.appliance, record]));
    const known = (id: ApplianceId): CheckpointsRecord | undefined => fresh.get(id) ?? world.known(id);
    const requests = [...state.checkpointRequests().values()]
      .filter(({ ensemble }) => state.ensemble(ensemble) !== undefined)
      .flatMap((request) => nextOfRequest(request, { ...world, known }) ?? []);
    // In one write with what was told: the machine is on disk from the moment its checkpoint is known.
    const told: RestoreNews[] = [];
    const isThere = (host: HostId): boolean => seen.isThere(host);
    const machines = state.whereabouts().machinesKept();
    const parked = machines.flatMap((before) => {
      const { record, news: refused } = nextRestores(nextParked(before, { ...world, known }), {
        ...world,
        known,
        isThere,
      });
      told.push(...refused);
      return record === before ? [] : [{ before, after: record }];
    });
    return {
      writes: [
        ...news.map((record): StoreWrite => ({ put: keys.checkpoints(record.appliance), value: record })),
        ...this.#gone().map((id): StoreWrite => ({ delete: keys.checkpoints(id) })),
        ...requests.map((one): StoreWrite => ({ put: keys.checkpointRequest(one.id), value: one })),
        ...parked.map(({ after }): StoreWrite => ({ put: keys.ensemble(after.ensemble.name), value: after })),
        ...this.#oldest(),
      ],
      news: news.map((after) => ({ before: world.known(after.appliance), after })),
      requests,
      parked,
      refused: told,
    };
  }

  #world(): CheckpointWorld {
    const { state, seen, parts } = this.#context;
    return {
      nowMs: parts.clock.now(),
      placement: (id) => placementOf(state, id),
      report: (host) => seen.freshReport(host),
      known: (id) => state.checkpoints().get(id),
    };
  }

  /** Appliances that nobody wants any more. */
  #gone(): ApplianceId[] {
    const { state } = this.#context;
    return [...state.checkpoints().values()]
      .map(({ appliance }) => appliance)
      .filter((id) => {
        const record = state.ensemble(id.slice(0, id.indexOf("/")));
        return record?.state !== "present" || !appliancesOf(record.ensemble).some((one) => one.id === id);
      });
  }

  /** Those that are over, beyond what is kept for reading, and all of ensembles that are gone. */
  #oldest(): StoreWrite[] {
    const { state } = this.#context;
    const all = [...state.checkpointRequests().values()];
    const isGone = ({ ensemble }: CheckpointRequest): boolean => state.ensemble(ensemble) === undefined;
    const ended = all
      .filter((one) => one.state !== "taking" && !isGone(one))
      .toSorted((a, b) => b.requestedAtMs - a.requestedAtMs);
    return [...all.filter(isGone), ...ended.slice(limits.checkpointRequestsKept)].map(({ id }) => ({
      delete: keys.checkpointRequest(id),
    }));
  }

  #tellTaken(before: CheckpointsRecord | undefined, after: CheckpointsRecord): void {
    const knew = new Set(before?.taken.map(({ checkpoint }) => checkpoint.id));
    for (const { checkpoint, copies, missing, store } of after.taken) {
      if (knew.has(checkpoint.id)) continue;
      const where = store ?? `on ${copies.join(", ")}`;
      const lacking = missing.length === 0 ? "" : `; ${missing.join(", ")} could not take a copy`;
      this.#context.events.append(
        "checkpoint.taken",
        after.appliance,
        `${checkpoint.id} is complete, ${where}; it was held for ${Math.round(checkpoint.pauseMs)}ms${lacking}`,
      );
    }
  }

  #tellParked(before: EnsembleRecord, after: EnsembleRecord): void {
    for (const [id, parked] of Object.entries<Parked>(after.parked ?? {})) {
      if (before.parked?.[id as ApplianceId] === parked) continue;
      if (parked.state === "on-disk")
        this.#context.events.append("appliance.parked", id, `on disk as ${parked.checkpoint}`);
      if (parked.state === "failed") this.#context.events.append("appliance.resumed", id, parked.why);
    }
  }

  #tellOver({ id, ensemble, state, message }: CheckpointRequest): void {
    if (state !== "failed") return;
    this.#context.events.append("checkpoint.failed", ensemble, `${id}: ${message ?? ""}`);
  }
}
