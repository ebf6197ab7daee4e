import { ConsortError } from "#base/errors.ts";
import type { HostId, OperationId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { Wake } from "#base/wake.ts";
import { ensembleView, hostView } from "#cluster/views.ts";
import { mappingProblem, planResult } from "#cluster/admission.ts";
import type { Solve } from "#cluster/admission.ts";
import { allocate } from "#cluster/allocation.ts";
import { Dispatcher } from "#cluster/dispatcher.ts";
import { EventLog } from "#cluster/event-log.ts";
import { explanationOf, placementReasons } from "#cluster/explanation.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import type { DesiredCloud } from "#cluster/host-plans.ts";
import { HostsSeen, hostRecordOf } from "#cluster/hosts-seen.ts";
import { Operations } from "#cluster/operations.ts";
import { unguardedPairs } from "#cluster/tunnels.ts";
import { downProgress, upProgress } from "#cluster/progress.ts";
import type { Observed, Progress } from "#cluster/progress.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { relayExec, relayLog } from "#cluster/relay.ts";
import type { ClusterService } from "#cluster/service.ts";
import { ClusterState } from "#cluster/state.ts";
import { tunnelRecordWrites } from "#cluster/tunnel-records.ts";
import { digest } from "#base/digest.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { Store } from "#drivers/store/port.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { HostReport } from "#protocol/host-report.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Explanation, PlanResult } from "#protocol/http/plan.ts";
import type { EnsembleStatus, Event, HostStatus } from "#protocol/http/status.ts";
import { topics } from "#protocol/topics.ts";

export type ClusterManagerParts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Store;
  readonly messaging: Messaging;
  readonly solve: Solve;
  readonly topology: Topology;
};

/**
 * Keeps the cloud as its users declared it.
 *
 *   up ──► map ──► allocate ──► commit (durable) ──► acknowledge
 *                                  │
 *     reconcile: desired state ──► host plans ──► hosts ──► reports ──► operations end, records of what is gone go
 *
 * Everything desired is in the store; everything observed comes again from the hosts. A restart at any line
 * therefore needs no repair: it loads, raises the epoch, and reconciles.
 */
export class ClusterManager implements ClusterService {
  readonly #parts: ClusterManagerParts;
  readonly #state: ClusterState;
  readonly #seen: HostsSeen;
  readonly #events: EventLog;
  readonly #operations: Operations;
  readonly #wake: Wake;
  #dispatcher: Dispatcher | undefined;
  #dirty = true;
  #admitting: Promise<unknown> = Promise.resolve();
  #life: AbortSignal = AbortSignal.abort(
    new ConsortError("unavailable", "Cannot answer yet: the cluster manager is starting"),
  );

  constructor(parts: ClusterManagerParts) {
    this.#parts = parts;
    this.#state = new ClusterState(parts.store);
    this.#seen = new HostsSeen(parts.clock);
    this.#events = new EventLog(parts.store, parts.clock);
    this.#wake = new Wake(parts.clock);
    this.#operations = new Operations(parts, this.#state, this.#events);
  }

  /** Loads what is desired and takes a new epoch; the service answers from then on. */
  async start(signal: AbortSignal): Promise<void> {
    const { store, messaging, clock, log } = this.#parts;
    const epoch = await takeEpoch(store, signal);
    await this.#state.load(signal);
    await this.#events.load(signal);
    this.#seen.expect(this.#state.hosts().keys());
    this.#dispatcher = new Dispatcher({ messaging, clock, log, epoch, onDelivered: () => this.#wake.now() });
    this.#life = signal;
    messaging.answer(topics.report, async ({ body }) => {
      await this.#hear(body as HostReport);
      return null;
    });
    messaging.onPresence(({ address, present }) => {
      this.#events.append(
        present ? "host.connected" : "host.disconnected",
        address,
        present ? "is there" : "left",
      );
      this.#wake.now();
    });
    log.info("Cluster manager ready", { epoch, ensembles: this.#state.ensembles().length });
  }

  /** Reconciles until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const settled = await Promise.allSettled([this.#reconcile(signal), this.#events.run(signal)]);
    for (const one of settled) {
      if (one.status === "rejected" && !signal.aborted) throw one.reason;
    }
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#pass(signal);
      } catch (cause) {
        signal.throwIfAborted();
        this.#parts.log.error("A reconcile pass failed", { cause });
      }
      await this.#wake.wait(limits.heartbeatMs, signal);
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const dispatcher = this.#manage();
    await this.#stepTunnels(dispatcher, signal);
    if (this.#dirty) {
      this.#dirty = false;
      dispatcher.update(hostPlanBodies(this.#desired()), signal);
    }
    dispatcher.retry(signal);
    for (const record of this.#state.ensembles()) {
      const progress = this.#progress(record);
      await this.#operations.observe(record, progress, signal);
      if (record.state === "removing" && progress.complete) await this.#forget(record, signal);
    }
  }

  async #forget(record: EnsembleRecord, signal: AbortSignal): Promise<void> {
    await this.#state.commit([{ delete: keys.ensemble(record.ensemble.name) }], signal);
    this.#events.append("ensemble.removed", record.ensemble.name, "nothing of it is left");
    this.#dirty = true;
    this.#wake.now();
  }

  async #stepTunnels(dispatcher: Dispatcher, signal: AbortSignal): Promise<void> {
    const reports = [...this.#seen.fresh().values()];
    const allMatch = !this.#dirty && reports.every((report) => dispatcher.matches(report));
    const writes = tunnelRecordWrites(this.#desired(), { reports, allMatch }, this.#parts.random);
    if (writes.length === 0) return;
    await this.#state.commit(writes, signal);
    this.#dirty = true;
    this.#wake.now();
  }

  #desired(): DesiredCloud {
    return {
      ensembles: this.#state.ensembles(),
      hosts: this.#state.hosts(),
      tunnels: this.#state.tunnels(),
      topology: this.#parts.topology,
    };
  }

  async #hear(report: HostReport): Promise<void> {
    const dispatcher = this.#manage();
    const wasFresh = this.#seen.isFresh(report.host);
    const changes = this.#seen.take(report);
    dispatcher.heard(report, this.#life);
    const record = hostRecordOf(report);
    if (digest(record) !== digest(this.#state.hosts().get(report.host))) {
      await this.#state.commit([{ put: keys.host(report.host), value: record }], this.#life);
      this.#dirty = true;
    }
    if (!wasFresh)
      this.#events.append("host.ready", `host/${report.host}`, `${report.host} in ${report.site} reports`);
    for (const { after } of changes) {
      const why = after.message === undefined ? "" : `: ${after.message}`;
      this.#events.append(`appliance.${after.state}`, after.id, `${after.state} on ${report.host}${why}`);
    }
    this.#wake.now();
  }

  up(ensemble: Ensemble, signal: AbortSignal): Promise<Operation> {
    return this.#admitInTurn(async () => {
      this.#manage();
      const before = this.#state.ensemble(ensemble.name);
      if (before?.state === "removing") {
        throw new ConsortError(
          "conflict",
          `Cannot bring up ${ensemble.name}: it is being removed, wait until it is gone`,
        );
      }
      const mapping = await this.#parts.solve(mappingProblem(ensemble, this.#facts()), signal);
      if (mapping.violations.length > 0) {
        const first = mapping.violations[0];
        const more = mapping.violations.length > 1 ? ` (and ${mapping.violations.length - 1} more)` : "";
        throw new ConsortError(
          "unsatisfiable",
          `Cannot bring up ${ensemble.name}: ${first?.message}${more}`,
          {
            details: { refusals: planResult(ensemble, before, mapping, new Map()).refusals },
          },
        );
      }
      const others = this.#state.ensembles().filter((record) => record.ensemble.name !== ensemble.name);
      const draft = {
        ensemble,
        state: "present" as const,
        placements: Object.fromEntries(mapping.placements) as EnsembleRecord["placements"],
        paths: mapping.paths,
        ...allocate(ensemble, before, others),
        revision: (before?.revision ?? 0) + 1,
      };
      return this.#accept("up", draft, before);
    });
  }

  down(name: string, _signal: AbortSignal): Promise<Operation> {
    return this.#admitInTurn(async () => {
      const before = this.#known(name);
      if (before.state === "removing") {
        const running = this.#state.operation(before.operation)?.operation;
        if (running?.state === "running") return running;
      }
      return this.#accept("down", { ...before, state: "removing", revision: before.revision + 1 }, undefined);
    });
  }

  async #accept(
    kind: Operation["kind"],
    draft: Omit<EnsembleRecord, "operation">,
    undo: EnsembleRecord | undefined,
  ): Promise<Operation> {
    const { operation, writes } = this.#operations.begin(kind, draft.ensemble, undo);
    const record: EnsembleRecord = { ...draft, operation: operation.id };
    await this.#state.commit(
      [{ put: keys.ensemble(draft.ensemble.name), value: record }, ...writes],
      this.#life,
    );
    this.#events.append(
      `ensemble.${kind}`,
      draft.ensemble.name,
      `${kind} accepted as revision ${record.revision}`,
    );
    this.#dirty = true;
    this.#wake.now();
    return operation;
  }

  async plan(ensemble: Ensemble, signal: AbortSignal): Promise<PlanResult> {
    const problem = mappingProblem(ensemble, this.#facts());
    const mapping = await this.#parts.solve(problem, signal);
    return planResult(
      ensemble,
      this.#state.ensemble(ensemble.name),
      mapping,
      placementReasons(problem, mapping),
    );
  }

  explain(name: string, _signal: AbortSignal): Promise<Explanation> {
    const record = this.#known(name);
    return Promise.resolve(explanationOf(record, mappingProblem(record.ensemble, this.#facts())));
  }

  declared(name: string, _signal: AbortSignal): Promise<Ensemble> {
    return Promise.resolve(this.#known(name).ensemble);
  }

  ensembles(_signal: AbortSignal): Promise<EnsembleStatus[]> {
    this.#manage();
    return Promise.resolve(this.#state.ensembles().map((record) => this.#view(record)));
  }

  ensemble(name: string, _signal: AbortSignal): Promise<EnsembleStatus> {
    return Promise.resolve(this.#view(this.#known(name)));
  }

  hosts(_signal: AbortSignal): Promise<HostStatus[]> {
    this.#manage();
    return Promise.resolve([...this.#state.hosts().values()].map((host) => hostView(host, this.#sources())));
  }

  operations(_signal: AbortSignal): Promise<Operation[]> {
    return Promise.resolve(this.#operations.list());
  }

  operation(id: OperationId, _signal: AbortSignal): Promise<Operation> {
    return Promise.resolve(this.#operations.get(id));
  }

  cancel(id: OperationId, _signal: AbortSignal): Promise<Operation> {
    return this.#admitInTurn(async () => {
      const cancelled = await this.#operations.cancel(id, this.#life);
      this.#dirty = true;
      this.#wake.now();
      return cancelled;
    });
  }

  events(afterCursor: number, signal: AbortSignal): AsyncIterable<Event> {
    return this.#events.read(afterCursor, AbortSignal.any([signal, this.#life]));
  }

  lastCursor(): number {
    return this.#events.lastCursor();
  }

  exec(
    ...[ensemble, appliance, request, onOutput, signal]: Parameters<ClusterService["exec"]>
  ): Promise<number> {
    const record = this.#known(ensemble);
    return relayExec(this.#parts, record, appliance, request, onOutput, signal);
  }

  log(ensemble: string, appliance: string, maxBytes: number, signal: AbortSignal): Promise<string> {
    return relayLog(this.#parts.messaging, this.#known(ensemble), appliance, maxBytes, signal);
  }

  /** Changes are decided one after the other, each seeing what the one before reserved. */
  #admitInTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#admitting.then(work);
    this.#admitting = turn.catch(() => {});
    return turn;
  }

  #manage(): Dispatcher {
    if (this.#dispatcher === undefined) this.#life.throwIfAborted();
    if (this.#dispatcher === undefined || this.#dispatcher.superseded) {
      throw new ConsortError("unavailable", "Cannot act: another cluster manager has taken over");
    }
    return this.#dispatcher;
  }

  #known(name: string): EnsembleRecord {
    this.#manage();
    const record = this.#state.ensemble(name);
    if (record === undefined)
      throw new ConsortError("not_found", `Cannot find ensemble "${name}": no such ensemble is declared`);
    return record;
  }

  #facts(): Parameters<typeof mappingProblem>[1] {
    return {
      topology: this.#parts.topology,
      hosts: this.#state.hosts(),
      records: this.#state.ensembles(),
      isThere: (host: HostId) => this.#seen.isThere(host),
    };
  }

  #sources(): Parameters<typeof ensembleView>[2] {
    return {
      ensembles: this.#state.ensembles(),
      hosts: this.#state.hosts(),
      topology: this.#parts.topology,
      seen: this.#seen,
    };
  }

  #view(record: EnsembleRecord): EnsembleStatus {
    return ensembleView(record, this.#progress(record), this.#sources());
  }

  #progress(record: EnsembleRecord): Progress {
    const dispatcher = this.#manage();
    const reports = this.#seen.fresh();
    const observed: Observed = {
      bodies: dispatcher.bodies(),
      reports,
      matches: (host) => !this.#dirty && dispatcher.matches(reports.get(host)),
      unguarded: unguardedPairs(record, this.#desired()),
    };
    return record.state === "removing" ? downProgress(record, observed) : upProgress(record, observed);
  }
}

/** Raises the epoch, durably, before anything is sent under it. */
async function takeEpoch(store: Store, signal: AbortSignal): Promise<number> {
  for (;;) {
    const entry = await store.get(keys.epoch, signal);
    const epoch = (typeof entry?.value === "number" ? entry.value : 0) + 1;
    const result = await store.commit(
      [{ put: keys.epoch, value: epoch }],
      [{ key: keys.epoch, revision: entry?.revision ?? 0 }],
      signal,
    );
    if (result.committed) return epoch;
  }
}
