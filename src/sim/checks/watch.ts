import { isDeepStrictEqual } from "node:util";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { BreachError } from "#sim/checks/breach.ts";
import type { Breach } from "#sim/checks/breach.ts";
import { planWentBack, plansUnderOneNumber } from "#sim/checks/epoch-obeyed.ts";
import type { Ledger } from "#sim/checks/ledger.ts";
import { overAdmitted, overloaded } from "#sim/checks/not-over-admitted.ts";
import { operationUndone, overdueOperation } from "#sim/checks/operations-end.ts";
import type { WatchedOperation } from "#sim/checks/operations-end.ts";
import { runningTwice } from "#sim/checks/runs-once.ts";
import { storedOperations, storedRecords } from "#sim/checks/world-of.ts";
import type { Cloud } from "#sim/cloud.ts";

/** Beyond what an operation may take: to notice, to commit, and to be seen. */
const slackMs = 10_000;

/**
 * Looks at a cloud after every event, and ends the run at the first breach. Only what may have changed is looked at
 * again: the store at a new revision, a plan that is another object.
 */
export class Watch {
  readonly #cloud: Cloud;
  readonly #topology: Topology;
  readonly #ledger: Ledger;
  readonly #calmSinceMs: number;
  readonly #plans = new Map<HostId, HostPlan | undefined>();
  readonly #operations = new Map<string, WatchedOperation>();
  #storeRevision = -1;
  #records: readonly EnsembleRecord[] = [];

  /** `calmSinceMs`: when the last fault is over. */
  constructor(cloud: Cloud, parts: { topology: Topology; ledger: Ledger; calmSinceMs: number }) {
    this.#cloud = cloud;
    this.#topology = parts.topology;
    this.#ledger = parts.ledger;
    this.#calmSinceMs = parts.calmSinceMs;
    cloud.onEvent(() => this.look());
  }

  look(): void {
    stopAt(runningTwice(this.#cloud.machines.values()));
    stopAt(this.#loads());
    stopAt(this.#kept());
    if (this.#cloud.storeRevision() !== this.#storeRevision) this.#readStore();
    const early = this.#ledger.tooEarly((id) => this.#operations.has(id));
    stopAt(early ?? this.#ledger.lost(this.#records));
  }

  /** Also where nothing changes any more. */
  checkOverdue(): void {
    stopAt(
      overdueOperation(this.#operations.values(), {
        nowMs: this.#cloud.nowMs,
        calmSinceMs: this.#calmSinceMs,
        limitMs: limits.operationMsMax + slackMs,
      }),
    );
  }

  #loads(): Breach | undefined {
    for (const host of this.#topology.hosts) {
      const machine = this.#cloud.machines.get(host.id);
      const breach = machine === undefined ? undefined : overloaded(host, machine.appliances);
      if (breach !== undefined) return breach;
    }
    return undefined;
  }

  #kept(): Breach | undefined {
    for (const host of this.#cloud.machines.keys()) {
      const before = this.#plans.get(host);
      const after = this.#cloud.storedPlan(host);
      if (after === before) continue;
      this.#plans.set(host, after);
      const breach =
        planWentBack(host, before, after) ?? plansUnderOneNumber(host, before, after, isDeepStrictEqual);
      if (breach !== undefined) return breach;
    }
    return undefined;
  }

  #readStore(): void {
    this.#storeRevision = this.#cloud.storeRevision();
    const records = storedRecords(this.#cloud);
    if (!sameObjects(records, this.#records)) {
      this.#records = records;
      stopAt(overAdmitted(records, this.#topology));
    }
    const operations = new Map<string, Operation>(
      storedOperations(this.#cloud).map(({ operation }) => [operation.id, operation]),
    );
    for (const [id, { operation }] of this.#operations) {
      stopAt(operationUndone(operation, operations.get(id)));
    }
    const before = new Map(this.#operations);
    this.#operations.clear();
    for (const [id, operation] of operations) {
      this.#operations.set(id, { operation, sinceMs: before.get(id)?.sinceMs ?? this.#cloud.nowMs });
    }
  }
}

function stopAt(breach: Breach | undefined): void {
  if (breach !== undefined) throw new BreachError(breach);
}

function sameObjects(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
