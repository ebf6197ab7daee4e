import type { HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { tellsOf } from "#cluster/hosts-seen.ts";
import type { HostRecord } from "#cluster/records.ts";
import type { CheckpointReconciler } from "#cluster/reconcilers/checkpoints.ts";
import type { CheckpointStoreReconciler } from "#cluster/reconcilers/checkpoint-stores.ts";
import type { HostReconciler } from "#cluster/reconcilers/hosts.ts";
import type { ImageReconciler } from "#cluster/reconcilers/images.ts";
import type { JobReconciler } from "#cluster/reconcilers/jobs.ts";
import type { Heartbeat, HostReport, ReportMark } from "#protocol/host-report.ts";
import type { ReportReceipt } from "#protocol/topics.ts";

/** Told of every report: whether there is something new in it for them. */
type Listeners = {
  readonly hosts: HostReconciler;
  readonly jobs: JobReconciler;
  readonly images: ImageReconciler;
  readonly checkpoints: CheckpointReconciler;
  readonly stores: CheckpointStoreReconciler;
};

/**
 * What hosts tell, and what they are answered.
 *
 *   report ──► taken, marked ──► receipt with the mark ──► heartbeats with it: "as told, and newer measurements"
 *      ▲                                                       │
 *      └──────── receipt without a mark, nor a lease ◄─────────┴── another report is here, or none
 *
 * A heartbeat that comes late or twice says no more than the report it refers to did.
 */
export class Hearing {
  readonly #context: ClusterContext;
  readonly #listeners: Listeners;
  /** Of each host, the record that its newest report was found to agree with. */
  readonly #agreed = new Map<HostId, HostRecord>();
  readonly #life: AbortSignal;

  constructor(context: ClusterContext, listeners: Listeners, life: AbortSignal) {
    this.#context = context;
    this.#listeners = listeners;
    this.#life = life;
  }

  /** @throws `unavailable` when the report tells of another cluster manager that has taken over */
  report(report: HostReport): ReportReceipt {
    const { seen, events, term, wake } = this.#context;
    const { jobs, images, checkpoints, stores } = this.#listeners;
    const wasFresh = seen.isFresh(report.host);
    const { changes, news, mark } = seen.take(report);
    this.#agreed.delete(report.host);
    this.#follow(report, wasFresh);
    for (const { after } of changes) {
      const why = after.message === undefined ? "" : `: ${after.message}`;
      events.append(`appliance.${after.state}`, after.id, `${after.state} on ${report.host}${why}`);
    }
    const jobNews = jobs.hear(report);
    const imageNews = images.hear(report);
    const checkpointNews = checkpoints.hear(report);
    const storeNews = stores.hear(report);
    if (news || jobNews || imageNews || checkpointNews || storeNews) wake.now();
    return this.#receipt(report.host, { epoch: term.epoch, number: mark });
  }

  /** @throws `unavailable` as for a report */
  heartbeat(heartbeat: Heartbeat): ReportReceipt {
    const { seen, term, pace } = this.#context;
    const { host, mark } = heartbeat;
    const wasFresh = seen.isFresh(host);
    const report = mark.epoch === term.epoch ? seen.takeHeartbeat(heartbeat) : undefined;
    if (report === undefined) {
      return { epoch: term.epoch, leaseMs: millis(0), heartbeatMs: pace.current().heartbeatMs };
    }
    this.#follow(report, wasFresh);
    return this.#receipt(host, mark);
  }

  /** What follows from a report whether or not there is anything new in it. */
  #follow(report: HostReport, wasFresh: boolean): void {
    const { host } = report;
    const { events, dispatcher, wake, wakeRecovery } = this.#context;
    dispatcher.heard(report, this.#life);
    this.#context.checkInCharge();
    if (!wasFresh) {
      events.append("host.ready", `host/${host}`, `${host} in ${report.site} reports`);
      wakeRecovery.now();
    }
    const isOnRecord = this.#isOnRecord(report);
    if (!isOnRecord) this.#listeners.hosts.changed(host);
    if (!wasFresh || !isOnRecord) wake.now();
  }

  #isOnRecord(report: HostReport): boolean {
    const record = this.#context.state.hosts().get(report.host);
    if (record === undefined) return false;
    if (this.#agreed.get(report.host) === record) return true;
    const agrees = tellsOf(report, record);
    if (agrees) this.#agreed.set(report.host, record);
    return agrees;
  }

  #receipt(host: HostId, mark: ReportMark): ReportReceipt {
    const { term, leases, pace } = this.#context;
    return {
      epoch: term.epoch,
      leaseMs: leases.grant(host),
      heartbeatMs: pace.current().heartbeatMs,
      mark,
    };
  }
}
