import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { EventLog } from "#cluster/event-log.ts";
import { checkNotMoving, withCancelledMoves } from "#cluster/moves.ts";
import { canGoBack, endedWith, endingOf, goneBack, standingOf } from "#cluster/operation-ends.ts";
import type { Ending, EnsembleChange, Standing } from "#cluster/operation-ends.ts";
import type { Progress } from "#cluster/progress.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord, HostStanding, OperationRecord } from "#cluster/records.ts";
import type { ClusterState } from "#cluster/state.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** Every change from its acceptance to its end; each ends: done, failed with a reason, or cancelled. */
export class Operations {
  readonly #parts: { readonly clock: Clock; readonly random: Random };
  readonly #state: ClusterState;
  readonly #events: EventLog;
  /** How far running operations are; memory only, as it is observed anew after a restart. */
  readonly #live = new Map<string, Standing>();

  constructor(parts: { clock: Clock; random: Random }, state: ClusterState, events: EventLog) {
    this.#parts = parts;
    this.#state = state;
    this.#events = events;
  }

  /**
   * Makes a change of an ensemble durable, with the operation that tells how it goes. `draft` is asked in the change's
   * turn; it gives the new record and, for an `up`, the one a cancel goes back to. One that runs on the ensemble is
   * replaced.
   */
  async accept(
    kind: EnsembleChange,
    draft: () => {
      record: Omit<EnsembleRecord, "operation">;
      undo?: EnsembleRecord | undefined;
      /** Whom it is about, when not all of them. */
      appliances?: readonly ApplianceId[];
      destinations?: OperationRecord["destinations"];
      /** What else changes with it, or not at all. */
      writes?: readonly StoreWrite[];
    },
    signal: AbortSignal,
  ): Promise<{ operation: Operation; revision: number }> {
    const id = this.#parts.random.hex(8);
    const ending: Ending = { state: "cancelled", message: `replaced by operation ${id}` };
    const { operation, revision, replaced } = await this.#state.change(() => {
      const { record, undo, appliances, destinations, writes: others = [] } = draft();
      const { name } = record.ensemble;
      const started: Operation = {
        id,
        kind,
        ensemble: name,
        state: "running",
        phase: "accepted",
        progress: { done: 0, total: (appliances ?? appliancesOf(record.ensemble)).length },
        message: "",
        createdAtMs: this.#parts.clock.now(),
      };
      const kept: OperationRecord = {
        operation: started,
        ...(canGoBack(kind) ? { undo: undo ?? null } : {}),
        ...(appliances === undefined ? {} : { appliances }),
        ...(destinations === undefined ? {} : { destinations }),
      };
      const superseded = this.#runningOn(name);
      const writes: StoreWrite[] = [
        { put: keys.ensemble(name), value: { ...record, operation: id } satisfies EnsembleRecord },
        { put: keys.operation(id), value: kept },
        ...others,
        ...superseded.map((one) => this.#ended(one, ending)),
        ...this.#oldest(),
      ];
      return { writes, result: { operation: started, revision: record.revision, replaced: superseded } };
    }, signal);
    for (const one of replaced) this.#tell(one.operation, ending);
    return { operation, revision };
  }

  /** A drain of a host, durable with the host's new standing. One that runs on the host already is returned instead. */
  async acceptDrain(
    host: HostId,
    draft: () => { standing: HostStanding; appliances: number },
    signal: AbortSignal,
  ): Promise<Operation> {
    const id = this.#parts.random.hex(8);
    return this.#state.change(() => {
      const running = this.#runningOnHost(host);
      if (running !== undefined) return { writes: [], result: this.#shown(running.operation) };
      const { standing, appliances } = draft();
      const operation: Operation = {
        id,
        kind: "drain",
        host,
        state: "running",
        phase: "accepted",
        progress: { done: 0, total: appliances },
        message: "",
        createdAtMs: this.#parts.clock.now(),
      };
      const writes: StoreWrite[] = [
        { put: keys.standing(host), value: { ...standing, operation: id } satisfies HostStanding },
        { put: keys.operation(id), value: { operation } satisfies OperationRecord },
        ...this.#oldest(),
      ];
      return { writes, result: operation };
    }, signal);
  }

  /** Ends a running drain when nothing is left to move, or will not be; the host is cordoned from then on. */
  async observeDrain(host: HostId, progress: Progress, signal: AbortSignal): Promise<void> {
    const running = this.#runningOnHost(host);
    const ending = running === undefined ? undefined : this.#verdict(running, progress);
    if (running === undefined || ending === undefined) return;
    const held = await this.#state.change(() => {
      if (this.#runningOnHost(host) !== running) return { writes: [], result: false };
      return { writes: this.#drainEnded(host, running, ending, "cordoned"), result: true };
    }, signal);
    if (held) this.#tell(running.operation, ending);
  }

  /** Nothing new goes there; a drain that runs goes on. */
  async cordonHost(host: HostId, signal: AbortSignal): Promise<void> {
    await this.#state.change(() => {
      const standing = this.#state.standing(host);
      if (standing.scheduling === "cordoned") return { writes: [], result: undefined };
      const value: HostStanding =
        standing.scheduling === "draining"
          ? { ...standing, staysCordoned: true }
          : { ...standing, scheduling: "cordoned" };
      return { writes: [{ put: keys.standing(host), value }], result: undefined };
    }, signal);
  }

  /** It takes appliances again; a drain that runs ends as cancelled. */
  async openHost(host: HostId, signal: AbortSignal): Promise<void> {
    const ending: Ending = { state: "cancelled", message: `${host} is open again` };
    const running = await this.#state.change(() => {
      const drain = this.#runningOnHost(host);
      const writes = this.#drainEnded(host, drain, ending, "open");
      return { writes, result: drain };
    }, signal);
    if (running !== undefined) this.#tell(running.operation, ending);
  }

  /** Writes what `draft` gives, with the host's record gone and a drain that runs on it ended. */
  async forgetHost(host: HostId, draft: () => readonly StoreWrite[], signal: AbortSignal): Promise<void> {
    const ending: Ending = { state: "cancelled", message: `${host} was forgotten` };
    const running = await this.#state.change(() => {
      const others = draft();
      const drain = this.#runningOnHost(host);
      const standing: HostStanding = { fenced: true, scheduling: "open" };
      const writes: StoreWrite[] = [
        { delete: keys.host(host) },
        { put: keys.standing(host), value: standing },
        ...(drain === undefined ? [] : [this.#ended(drain, ending)]),
        ...others,
      ];
      return { writes, result: drain };
    }, signal);
    if (running !== undefined) this.#tell(running.operation, ending);
  }

  #drainEnded(
    host: HostId,
    drain: OperationRecord | undefined,
    ending: Ending,
    scheduling: HostStanding["scheduling"],
  ): StoreWrite[] {
    const { fenced } = this.#state.standing(host);
    return [
      { put: keys.standing(host), value: { fenced, scheduling } satisfies HostStanding },
      ...(drain === undefined ? [] : [this.#ended(drain, ending)]),
    ];
  }

  /** Of the operation that runs on it. */
  kindOf(record: EnsembleRecord): Operation["kind"] | undefined {
    return this.#runningAs(record)?.operation.kind;
  }

  /** Whom the operation that runs on it is about; undefined: none runs, or all of them. */
  aboutOf(record: EnsembleRecord): readonly ApplianceId[] | undefined {
    return this.#runningAs(record)?.appliances;
  }

  /** Where the migration that runs on it leads. */
  destinationsOf(record: EnsembleRecord): OperationRecord["destinations"] {
    return this.#runningAs(record)?.destinations;
  }

  /** The drain that runs on a host. */
  drainOf(host: HostId): Operation | undefined {
    return this.#runningOnHost(host)?.operation;
  }

  get(id: string): Operation {
    const record = this.#state.operation(id);
    if (record === undefined)
      throw new ConsortError("not_found", `Cannot find operation "${id}": no such operation is kept`);
    return this.#shown(record.operation);
  }

  /** Newest first. */
  list(): Operation[] {
    return this.#state
      .operations()
      .map((record) => this.#shown(record.operation))
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /**
   * Ends the ensemble's running operation when the world is as desired, or will not be, and with it the record of an
   * ensemble of which nothing is left. What changed since `record` was looked at is left for the next look.
   */
  async observe(record: EnsembleRecord, progress: Progress, signal: AbortSignal): Promise<void> {
    const running = this.#runningAs(record);
    const ending = running === undefined ? undefined : this.#verdict(running, progress);
    const gone = record.state === "removing" && progress.complete;
    if (ending === undefined && !gone) return;
    const name = record.ensemble.name;
    const held = await this.#state.change(() => {
      const current = this.#runningAs(record);
      if (this.#state.ensemble(name) !== record || current !== running) return { writes: [], result: false };
      const writes: StoreWrite[] = gone ? [{ delete: keys.ensemble(name) }] : [];
      if (running !== undefined && ending !== undefined) writes.push(this.#ended(running, ending));
      return { writes, result: true };
    }, signal);
    if (!held) return;
    if (gone) this.#events.append("ensemble.removed", name, "nothing of it is left");
    if (running !== undefined && ending !== undefined) this.#tell(running.operation, ending);
  }

  /** Ends it; an `up` goes back to the desired state before it, if `holds` agrees to that. */
  async cancel(id: string, holds: (before: EnsembleRecord) => void, signal: AbortSignal): Promise<Operation> {
    const ending: Ending = { state: "cancelled", message: "cancelled by the user" };
    const cancelled = await this.#state.change(() => {
      const record = this.#state.operation(id);
      if (record === undefined)
        throw new ConsortError("not_found", `Cannot cancel operation "${id}": no such operation is kept`);
      const { operation, undo, appliances } = record;
      if (operation.state !== "running") {
        throw new ConsortError(
          "conflict",
          `Cannot cancel operation ${id}: it has ended (${operation.state})`,
        );
      }
      if (operation.host !== undefined) {
        const host = operation.host as HostId;
        const goesBackTo = this.#state.standing(host).staysCordoned === true ? "cordoned" : "open";
        return { writes: this.#drainEnded(host, record, ending, goesBackTo), result: operation };
      }
      const name = operation.ensemble ?? "";
      const current = this.#state.ensemble(name);
      const writes: StoreWrite[] = [this.#ended(record, ending)];
      if (operation.kind === "migrate" && current !== undefined) {
        writes.push({ put: keys.ensemble(name), value: withCancelledMoves(current, appliances ?? []) });
      } else if (undo !== undefined && current?.operation === id) {
        checkNotMoving(current, appliances ?? [], `cancel operation ${id}`);
        const before = undo === null ? undefined : goneBack(current, undo, appliances);
        if (before !== undefined) holds(before);
        const back: EnsembleRecord =
          before === undefined
            ? { ...current, state: "removing", revision: current.revision + 1 }
            : { ...before, operation: id, revision: current.revision + 1 };
        writes.push({ put: keys.ensemble(name), value: back });
      }
      return { writes, result: operation };
    }, signal);
    this.#tell(cancelled, ending);
    return this.get(id);
  }

  /** Forms of ensembles that a cancelled `up` would go back to: what they hold is not free yet. */
  undoable(): EnsembleRecord[] {
    return this.#state
      .operations()
      .flatMap(({ operation, undo }) => (operation.state === "running" && undo ? [undo] : []));
  }

  /** What `isAwaited` holds of. */
  awaited(): EnsembleRecord[] {
    const running = this.#state.operations().flatMap(({ operation: { state, ensemble } }) => {
      return state === "running" ? (this.#state.ensemble(ensemble ?? "") ?? []) : [];
    });
    const removing = this.#state
      .whereabouts()
      .unsettled()
      .filter(({ state }) => state === "removing");
    return [...new Set([...running, ...removing])].filter((record) => this.isAwaited(record));
  }

  /** Whether anything waits for how this ensemble does. */
  isAwaited(record: EnsembleRecord): boolean {
    return record.state === "removing" || this.#runningAs(record) !== undefined;
  }

  #shown(operation: Operation): Operation {
    const live = operation.state === "running" ? this.#live.get(operation.id) : undefined;
    if (live === undefined) return operation;
    return { ...operation, phase: live.phase, progress: live.progress, message: live.message };
  }

  #runningOn(ensemble: string): OperationRecord[] {
    return this.#state
      .operations()
      .filter(({ operation }) => operation.ensemble === ensemble && operation.state === "running");
  }

  #runningOnHost(host: HostId): OperationRecord | undefined {
    const newest = this.#state.operation(this.#state.standing(host).operation ?? "");
    return newest?.operation.state === "running" ? newest : undefined;
  }

  #runningAs(record: EnsembleRecord): OperationRecord | undefined {
    const newest = this.#state.operation(record.operation);
    return newest?.operation.state === "running" ? newest : undefined;
  }

  /** How it ends now, if it does; notes how far it is. */
  #verdict({ operation }: OperationRecord, progress: Progress): Ending | undefined {
    const now = this.#parts.clock.monotonic();
    const sinceMs = this.#live.get(operation.id)?.sinceMs ?? now;
    this.#live.set(operation.id, standingOf(operation, progress, sinceMs));
    return endingOf(operation, progress, millis(now - sinceMs));
  }

  #ended({ operation }: OperationRecord, ending: Ending): StoreWrite {
    const ended = endedWith(operation, ending, this.#live.get(operation.id), this.#parts.clock.now());
    return { put: keys.operation(operation.id), value: { operation: ended } satisfies OperationRecord };
  }

  /** It has ended, durably. */
  #tell({ id, kind, ensemble, host }: Operation, { state, message }: Ending): void {
    this.#live.delete(id);
    this.#events.append(`operation.${state}`, `operation/${id}`, `${kind} ${ensemble ?? host}: ${message}`);
  }

  #oldest(): StoreWrite[] {
    const ended = this.list().filter((operation) => operation.state !== "running");
    return ended.slice(limits.operationsKept).map((operation) => ({ delete: keys.operation(operation.id) }));
  }
}
