import { ConsortError } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Random } from "#base/runtime.ts";
import type { EventLog } from "#cluster/event-log.ts";
import type { Progress } from "#cluster/progress.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord, OperationRecord } from "#cluster/records.ts";
import type { ClusterState } from "#cluster/state.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** Every change from its acceptance to its end; each ends: done, failed with a reason, or cancelled. */
export class Operations {
  readonly #parts: { readonly clock: Clock; readonly random: Random };
  readonly #state: ClusterState;
  readonly #events: EventLog;
  /** How far running operations are; memory only, as it is observed anew after a restart. */
  readonly #live = new Map<string, Pick<Operation, "progress" | "message">>();

  constructor(parts: { clock: Clock; random: Random }, state: ClusterState, events: EventLog) {
    this.#parts = parts;
    this.#state = state;
    this.#events = events;
  }

  /** A new operation and the writes that make it durable, to be committed with what it changes. */
  begin(
    kind: Operation["kind"],
    ensemble: Ensemble,
    undo: EnsembleRecord | undefined,
  ): { operation: Operation; writes: StoreWrite[] } {
    const operation: Operation = {
      id: this.#parts.random.hex(8),
      kind,
      ensemble: ensemble.name,
      state: "running",
      phase: "converging",
      progress: { done: 0, total: appliancesOf(ensemble).length },
      message: "accepted",
      createdAtMs: this.#parts.clock.now(),
    };
    const record: OperationRecord = { operation, ...(kind === "up" ? { undo: undo ?? null } : {}) };
    const superseded = this.#runningOn(ensemble.name).map((one) =>
      this.#ending(one, "cancelled", `replaced by operation ${operation.id}`),
    );
    return {
      operation,
      writes: [{ put: keys.operation(operation.id), value: record }, ...superseded, ...this.#oldest()],
    };
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

  /** Ends the ensemble's running operation when the world is as desired, or will not be. */
  async observe(record: EnsembleRecord, progress: Progress, signal: AbortSignal): Promise<void> {
    const running = this.#state.operation(record.operation);
    if (running === undefined || running.operation.state !== "running") return;
    const { id, createdAtMs } = running.operation;
    this.#live.set(id, {
      progress: { done: progress.done, total: progress.total },
      message: progress.message,
    });
    const overdue = this.#parts.clock.now() - createdAtMs > limits.operationMsMax;
    const state = progress.complete ? "done" : progress.failed || overdue ? "failed" : undefined;
    if (state === undefined) return;
    const message =
      overdue && !progress.complete ? `not converged in time: ${progress.message}` : progress.message;
    await this.#state.commit([this.#ending(running, state, message)], signal);
    this.#live.delete(id);
    this.#events.append(
      `operation.${state}`,
      `operation/${id}`,
      `${running.operation.kind} ${record.ensemble.name}: ${message}`,
    );
  }

  /** Ends it; an `up` goes back to the desired state before it. */
  async cancel(id: string, signal: AbortSignal): Promise<Operation> {
    const record = this.#state.operation(id);
    if (record === undefined)
      throw new ConsortError("not_found", `Cannot cancel operation "${id}": no such operation is kept`);
    const { operation, undo } = record;
    if (operation.state !== "running") {
      throw new ConsortError("conflict", `Cannot cancel operation ${id}: it has ended (${operation.state})`);
    }
    const current = this.#state.ensemble(operation.ensemble);
    const writes: StoreWrite[] = [this.#ending(record, "cancelled", "cancelled by the user")];
    if (operation.kind === "up" && undo !== undefined && current?.operation === id) {
      const back: EnsembleRecord =
        undo === null
          ? { ...current, state: "removing", revision: current.revision + 1 }
          : { ...undo, operation: id, revision: current.revision + 1 };
      writes.push({ put: keys.ensemble(operation.ensemble), value: back });
    }
    await this.#state.commit(writes, signal);
    this.#events.append(
      "operation.cancelled",
      `operation/${id}`,
      `${operation.kind} ${operation.ensemble} cancelled`,
    );
    return this.get(id);
  }

  #shown(operation: Operation): Operation {
    const live = operation.state === "running" ? this.#live.get(operation.id) : undefined;
    return live === undefined ? operation : { ...operation, ...live };
  }

  #runningOn(ensemble: string): OperationRecord[] {
    return this.#state
      .operations()
      .filter(({ operation }) => operation.ensemble === ensemble && operation.state === "running");
  }

  #ending(record: OperationRecord, state: "done" | "failed" | "cancelled", message: string): StoreWrite {
    const live = this.#live.get(record.operation.id);
    const progress =
      state === "done" ? fullOf(record.operation) : (live?.progress ?? record.operation.progress);
    const operation: Operation = {
      ...record.operation,
      state,
      message,
      progress,
      endedAtMs: this.#parts.clock.now(),
      ...(state === "failed" ? { error: { code: "driver_failed", message } } : {}),
    };
    return { put: keys.operation(operation.id), value: { operation } satisfies OperationRecord };
  }

  #oldest(): StoreWrite[] {
    const ended = this.list().filter((operation) => operation.state !== "running");
    return ended.slice(limits.operationsKept).map((operation) => ({ delete: keys.operation(operation.id) }));
  }
}

function fullOf(operation: Operation): Operation["progress"] {
  return { done: operation.progress.total, total: operation.progress.total };
}
