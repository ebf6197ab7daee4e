import { isDeepStrictEqual } from "node:util";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { EnsembleRecord, HostStanding } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import { BreachError } from "#sim/checks/breach.ts";
import type { Breach } from "#sim/checks/breach.ts";
import { checkpointLost, takenApart } from "#sim/checks/checkpoints-kept.ts";
import type { HasContent } from "#sim/checks/checkpoints-kept.ts";
import { planWentBack, plansUnderOneNumber } from "#sim/checks/epoch-obeyed.ts";
import type { Ledger } from "#sim/checks/ledger.ts";
import { Beginnings } from "#sim/checks/never-goes-back.ts";
import { overAdmitted, overloaded } from "#sim/checks/not-over-admitted.ts";
import { operationUndone, overdueOperation } from "#sim/checks/operations-end.ts";
import type { WatchedOperation } from "#sim/checks/operations-end.ts";
import { onDisk, parkedLost, parkedRuns } from "#sim/checks/parked-kept.ts";
import { runningTwice } from "#sim/checks/runs-once.ts";
import { storedCheckpoints, storedOperations, storedRecords, storedStandings } from "#sim/checks/world-of.ts";
import type { ApplianceView, Cloud, MachineView } from "#sim/cloud.ts";

/** Beyond what an operation may take: to notice, to commit, and to be seen. */
const slackMs = 10_000;

type Seen = { version: number; appliances: readonly ApplianceView[]; plan: HostPlan | undefined };

/**
 * Looks at a cloud after every event, and ends the run at the first breach. Only what has changed is looked at again: a
 * machine of another version, a store with another commit, a plan that is another object.
 */
export class Watch {
  readonly #cloud: Cloud;
  readonly #topology: Topology;
  readonly #ledger: Ledger;
  readonly #calmSinceMs: number;
  readonly #machines: readonly MachineView[];
  readonly #seen = new Map<HostId, Seen>();
  readonly #beginnings = new Beginnings();
  readonly #hasContent: HasContent;
  #parked: ReadonlyMap<ApplianceId, string> = new Map();
  #removals = 0;
  readonly #operations = new Map<string, WatchedOperation>();
  #records: readonly EnsembleRecord[] = [];
  #fenced: ReadonlySet<HostId> = new Set();
  #standings: ReadonlyMap<HostId, HostStanding> = new Map();
  #storeRevision = -1;

  /** `calmSinceMs`: when the last fault is over. */
  constructor(cloud: Cloud, parts: { topology: Topology; ledger: Ledger; calmSinceMs: number }) {
    this.#cloud = cloud;
    this.#topology = parts.topology;
    this.#ledger = parts.ledger;
    this.#calmSinceMs = parts.calmSinceMs;
    this.#hasContent = (host, digest) => cloud.contents.hosts.get(host)?.blobs.has(digest) === true;
    this.#machines = [...cloud.machines.values()];
    for (const { host } of this.#machines)
      this.#seen.set(host, { version: -1, appliances: [], plan: undefined });
    cloud.onEvent(() => this.#look());
  }

  #look(): void {
    this.#lookAtMachines();
    const news = this.#ledger.hasNews();
    const revision = this.#cloud.storeRevision();
    if (this.#cloud.contents.removals() !== this.#removals) this.#lookAtCheckpoints();
    if (revision === this.#storeRevision && !news) return;
    if (revision !== this.#storeRevision) this.#lookAtStore();
    this.#storeRevision = revision;
    this.#lookAtCheckpoints();
    stopAt(this.#ledger.tooEarly((id) => this.#operations.has(id)));
    stopAt(this.#ledger.lost(this.#records));
    stopAt(this.#ledger.hosts.lost((host) => this.#standings.get(host as HostId)?.scheduling ?? "open"));
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

  #lookAtMachines(): void {
    let changed = false;
    for (const machine of this.#machines) {
      const seen = this.#seen.get(machine.host);
      if (seen === undefined) continue;
      if (seen.version !== machine.version) {
        seen.version = machine.version;
        seen.appliances = [...machine.appliances];
        changed = true;
        this.#checkLoad(machine.host, seen.appliances);
      }
      const plan = this.#cloud.storedPlan(machine.host);
      if (plan === seen.plan) continue;
      stopAt(planWentBack(machine.host, seen.plan, plan));
      stopAt(plansUnderOneNumber(machine.host, seen.plan, plan, isDeepStrictEqual));
      seen.plan = plan;
    }
    if (changed) {
      const all = [...this.#seen].map(([host, { appliances }]) => ({ host, appliances }));
      stopAt(runningTwice(all));
      stopAt(this.#beginnings.wentBack(all));
      stopAt(parkedRuns(this.#parked, all));
    }
  }

  #lookAtCheckpoints(): void {
    this.#removals = this.#cloud.contents.removals();
    const records = storedCheckpoints(this.#cloud);
    this.#parked = onDisk(this.#records);
    if (records.length === 0 && this.#parked.size === 0) return;
    const { hosts, stood } = this.#cloud.contents;
    stopAt(checkpointLost(records, this.#hasContent));
    stopAt(takenApart(records, (appliance, checkpoint) => stood.get(`${appliance} ${checkpoint}`)));
    stopAt(parkedLost(this.#parked, records, hosts.keys(), this.#hasContent));
    stopAt(parkedRuns(this.#parked, this.#machines));
  }

  #checkLoad(id: HostId, appliances: readonly ApplianceView[]): void {
    const host = this.#topology.hosts.find((one) => one.id === id);
    if (host === undefined) return;
    stopAt(overloaded(host, appliances));
  }

  #lookAtStore(): void {
    const records = storedRecords(this.#cloud);
    this.#standings = storedStandings(this.#cloud);
    const fenced = new Set([...this.#standings].flatMap(([host, one]) => (one.fenced ? [host] : [])));
    if (!sameObjects(records, this.#records) || fenced.symmetricDifference(this.#fenced).size > 0) {
      this.#records = records;
      this.#fenced = fenced;
      stopAt(overAdmitted(records, this.#topology, (host) => fenced.has(host)));
    }
    const operations = storedOperations(this.#cloud).map(({ operation }) => operation);
    const byId = new Map(operations.map((operation) => [operation.id, operation]));
    for (const [id, { operation }] of this.#operations) stopAt(operationUndone(operation, byId.get(id)));
    const since = new Map([...this.#operations].map(([id, { sinceMs }]) => [id, sinceMs]));
    this.#operations.clear();
    for (const operation of operations) {
      const sinceMs = since.get(operation.id) ?? this.#cloud.nowMs;
      this.#operations.set(operation.id, { operation, sinceMs });
    }
  }
}

function stopAt(breach: Breach | undefined): void {
  if (breach !== undefined) throw new BreachError(breach);
}

function sameObjects(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, index) => one === b[index]);
}
