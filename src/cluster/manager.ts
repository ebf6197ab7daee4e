import { isDeepStrictEqual } from "node:util";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId, OperationId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { together } from "#base/together.ts";
import { Wake } from "#base/wake.ts";
import { ensembleView, hostViews } from "#cluster/views.ts";
import { checkHolds, checkMapping, mappingProblem, planResult } from "#cluster/admission.ts";
import type { Solve } from "#cluster/admission.ts";
import { allocate } from "#cluster/allocation.ts";
import { Dispatcher } from "#cluster/dispatcher.ts";
import { noteEpoch, takeEpoch } from "#cluster/epoch.ts";
import { EventLog } from "#cluster/event-log.ts";
import { explanationOf, placementReasons } from "#cluster/explanation.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { withLastWords } from "#cluster/last-words.ts";
import { leavingAfter, stillLeaving } from "#cluster/leaving.ts";
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
import { tunnelRecordWrites, tunnelsSettled } from "#cluster/tunnel-records.ts";
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
  /** The version of the desired state the host plans were made from. */
  #planned = -1;
  /** The version at which no tunnel's record had a step to go. */
  #tunnelsSettled = -1;
  #admitting: Promise<unknown> = Promise.resolve();
  #life: AbortSignal = AbortSignal.abort(
    new ConsortError("unavailable", "Cannot answer yet: the cluster manager is starting"),
  );

  constructor(parts: ClusterManagerParts) {
    this.#parts = parts;
    this.#state = new ClusterState(parts.store);
    this.#seen = new HostsSeen(parts.clock);
    this.#events = new EventLog(parts);
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
    this.#events.append("cluster.started", "cluster", `the cluster manager started, in epoch ${epoch}`);
    log.info("Cluster manager ready", { epoch, ensembles: this.#state.ensembles().length });
  }

  /** Reconciles until the signal aborts. Throws `unavailable` when hosts obey a later cluster manager. */
  async run(signal: AbortSignal): Promise<void> {
    await together([(stop) => this.#reconcile(stop), (stop) => this.#events.run(stop)], signal);
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { clock, log, store } = this.#parts;
    for (;;) {
      const newer = this.#dispatcher?.supersededBy;
      if (newer !== undefined) {
        await noteEpoch(store, newer, signal);
        throw new ConsortError("unavailable", `Cannot go on: hosts obey epoch ${newer}, another manager's`);
      }
      try {
        await this.#pass(signal);
      } catch (cause) {
        signal.throwIfAborted();
        log.error(`A reconcile pass failed: ${messageOf(cause)}`, { cause });
        await clock.sleep(limits.heartbeatMs, signal);
      }
      await this.#wake.wait(limits.heartbeatMs, signal);
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const dispatcher = this.#manage();
    await this.#stepTunnels(dispatcher, signal);
    const version = this.#state.version();
    if (this.#planned !== version) {
      dispatcher.update(hostPlanBodies(this.#desired()), signal);
      this.#planned = version;
    }
    dispatcher.retry(signal);
    await this.#stepLeaving(dispatcher, signal);
    const awaited = this.#state.ensembles().filter((record) => this.#operations.isAwaited(record));
    if (awaited.length === 0) return;
    const observed = this.#observed();
    for (const record of awaited) {
      const progress = await withLastWords(this.#parts, record, this.#progress(record, observed), signal);
      await this.#operations.observe(record, progress, signal);
    }
    if (this.#planned !== this.#state.version()) this.#wake.now();
  }

  async #stepLeaving(dispatcher: Dispatcher, signal: AbortSignal): Promise<void> {
    const isGone = (id: ApplianceId, host: HostId): boolean => {
      if (!this.#seen.isThere(host)) return true;
      const report = this.#seen.freshReport(host);
      const done = dispatcher.matches(report, ({ appliance }) => appliance === undefined || appliance === id);
      return done && report?.appliances.some((one) => one.id === id) === false;
    };
    if (!this.#state.ensembles().some(({ leaving }) => stillLeaving(leaving, isGone) !== leaving)) return;
    await this.#state.change(() => {
      const isPlanned = this.#planned === this.#state.version();
      const writes = (isPlanned ? this.#state.ensembles() : []).flatMap((record) => {
        const leaving = stillLeaving(record.leaving, isGone);
        if (leaving === record.leaving) return [];
        return [{ put: keys.ensemble(record.ensemble.name), value: { ...record, leaving } }];
      });
      return { writes, result: undefined };
    }, signal);
    this.#wake.now();
  }

  async #stepTunnels(dispatcher: Dispatcher, signal: AbortSignal): Promise<void> {
    const version = this.#state.version();
    if (this.#tunnelsSettled === version) return;
    const written = await this.#state.change(() => {
      const desired = this.#desired();
      const reports = [...this.#seen.fresh().values()];
      // A silent host may still send what only a tunnel may carry.
      const allMatch =
        this.#planned === this.#state.version() &&
        [...desired.hosts.keys()].every((host) => dispatcher.matches(this.#seen.freshReport(host)));
      const writes = tunnelRecordWrites(desired, { reports, allMatch }, this.#parts.random);
      return { writes, result: writes.length > 0 };
    }, signal);
    if (!written && tunnelsSettled(this.#desired())) this.#tunnelsSettled = version;
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
    const { changes, news } = this.#seen.take(report);
    dispatcher.heard(report, this.#life);
    if (!wasFresh)
      this.#events.append("host.ready", `host/${report.host}`, `${report.host} in ${report.site} reports`);
    for (const { after } of changes) {
      const why = after.message === undefined ? "" : `: ${after.message}`;
      this.#events.append(`appliance.${after.state}`, after.id, `${after.state} on ${report.host}${why}`);
    }
    if (news || !wasFresh) this.#wake.now();
    const record = hostRecordOf(report);
    if (isDeepStrictEqual(record, this.#state.hosts().get(report.host))) return;
    await this.#state.change(
      () => ({ writes: [{ put: keys.host(report.host), value: record }], result: undefined }),
      this.#life,
    );
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
      const problem = mappingProblem(ensemble, this.#facts());
      const mapping = await this.#parts.solve(problem, signal);
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
      checkMapping(problem, mapping);
      return this.#accept("up", () => ({
        record: {
          ensemble,
          state: "present",
          placements: Object.fromEntries(mapping.placements) as EnsembleRecord["placements"],
          paths: mapping.paths,
          ...allocate(ensemble, before, this.#holders(ensemble.name)),
          leaving: leavingAfter(before, Object.fromEntries(mapping.placements)),
          revision: (before?.revision ?? 0) + 1,
        },
        undo: before,
      }));
    });
  }

  /** Whoever else holds network identifiers and subnets, or would again if its `up` were cancelled. */
  #holders(name: string): EnsembleRecord[] {
    const all = [...this.#state.ensembles(), ...this.#operations.undoable()];
    return all.filter((record) => record.ensemble.name !== name);
  }

  down(name: string, _signal: AbortSignal): Promise<Operation> {
    return this.#admitInTurn(async () => {
      const removing = this.#known(name);
      const running = this.#state.operation(removing.operation)?.operation;
      if (removing.state === "removing" && running?.state === "running") return running;
      return this.#accept("down", () => {
        const before = this.#known(name);
        return { record: { ...before, state: "removing", revision: before.revision + 1 } };
      });
    });
  }

  async #accept(kind: Operation["kind"], draft: Parameters<Operations["accept"]>[1]): Promise<Operation> {
    const { operation, revision } = await this.#operations.accept(kind, draft, this.#life);
    this.#events.append(`ensemble.${kind}`, operation.ensemble, `${kind} accepted as revision ${revision}`);
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
    const [observed, sources] = [this.#observed(), this.#sources()];
    return Promise.resolve(this.#state.ensembles().map((record) => this.#view(record, observed, sources)));
  }

  ensemble(name: string, _signal: AbortSignal): Promise<EnsembleStatus> {
    return Promise.resolve(this.#view(this.#known(name)));
  }

  hosts(_signal: AbortSignal): Promise<HostStatus[]> {
    this.#manage();
    return Promise.resolve(hostViews(this.#sources()));
  }

  operations(_signal: AbortSignal): Promise<Operation[]> {
    return Promise.resolve(this.#operations.list());
  }

  operation(id: OperationId, _signal: AbortSignal): Promise<Operation> {
    return Promise.resolve(this.#operations.get(id));
  }

  cancel(id: OperationId, _signal: AbortSignal): Promise<Operation> {
    return this.#admitInTurn(async () => {
      const cancelled = await this.#operations.cancel(
        id,
        (before) => checkHolds(before, this.#facts()),
        this.#life,
      );
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
    if (this.#dispatcher === undefined || this.#dispatcher.supersededBy !== undefined) {
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

  #view(record: EnsembleRecord, observed = this.#observed(), sources = this.#sources()): EnsembleStatus {
    return ensembleView(record, this.#progress(record, observed), sources);
  }

  #progress(record: EnsembleRecord, observed: Omit<Observed, "unguarded">): Progress {
    const all = { ...observed, unguarded: unguardedPairs(record, this.#desired()) };
    return record.state === "removing" ? downProgress(record, all) : upProgress(record, all);
  }

  #observed(): Omit<Observed, "unguarded"> {
    const dispatcher = this.#manage();
    const reports = this.#seen.fresh();
    const isPlanned = this.#planned === this.#state.version();
    return {
      bodies: dispatcher.bodies(),
      reports,
      matches: (host, concerns) => isPlanned && dispatcher.matches(reports.get(host), concerns),
    };
  }
}
