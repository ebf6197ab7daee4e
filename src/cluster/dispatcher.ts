import { withDeadline } from "#base/deadline.ts";
import { messageOf } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { fingerprintOf } from "#cluster/host-plans.ts";
import type { HostPlanBody } from "#cluster/host-plans.ts";
import type { Term } from "#cluster/term.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { HostProblem, HostReport } from "#protocol/host-report.ts";
import { hostAddress, topics } from "#protocol/topics.ts";
import type { PlanReceipt } from "#protocol/topics.ts";

type Outgoing = { body: HostPlanBody; digest: string; revision: number; accepted: boolean; sending: boolean };

/**
 * Hands every host its newest plan and knows which of them have it. Revisions count changes of a host's plan
 * within this manager's epoch; a host that reports less than it was given is given it again.
 */
export class Dispatcher {
  readonly #parts: { messaging: Messaging; clock: Clock; log: Log; term: Term; onDelivered: () => void };
  readonly #outgoing = new Map<HostId, Outgoing>();
  /** Those whose newest plan was not accepted yet. */
  readonly #behind = new Map<HostId, Outgoing>();

  constructor(parts: { messaging: Messaging; clock: Clock; log: Log; term: Term; onDelivered: () => void }) {
    this.#parts = parts;
  }

  *bodies(): Iterable<HostPlanBody> {
    for (const { body } of this.#outgoing.values()) yield body;
  }

  body(host: HostId): HostPlanBody | undefined {
    return this.#outgoing.get(host)?.body;
  }

  /** New desired states; hosts whose plan is the same are not bothered. */
  update(bodies: ReadonlyMap<HostId, HostPlanBody>, signal: AbortSignal): void {
    for (const [host, body] of bodies) this.#prepare(host, body);
    // Of a host that was forgotten nothing is wanted any more, should it be heard of all the same.
    for (const host of this.#outgoing.keys()) if (!bodies.has(host)) this.#prepare(host, nothingFor(host));
    this.retry(signal);
  }

  #prepare(host: HostId, body: HostPlanBody): void {
    const before = this.#outgoing.get(host);
    if (before?.body === body) return;
    const fingerprint = fingerprintOf(body);
    if (before?.digest === fingerprint) {
      before.body = body;
      return;
    }
    const revision = (before?.revision ?? 0) + 1;
    const outgoing = { body, digest: fingerprint, revision, accepted: false, sending: false };
    this.#outgoing.set(host, outgoing);
    this.#behind.set(host, outgoing);
  }

  /** Sends again what was not accepted, to hosts that are there. */
  retry(signal: AbortSignal): void {
    const behind = [...this.#behind].filter(([, one]) => !one.sending);
    if (behind.length === 0) return;
    const { messaging } = this.#parts;
    for (const [host] of behind) if (messaging.isPresent(hostAddress(host))) this.#send(host, signal);
  }

  /** A host told what it holds: less than it was given means it must be given it again. */
  heard(report: HostReport, signal: AbortSignal): void {
    const outgoing = this.#outgoing.get(report.host);
    this.#noteEpoch(report.epoch);
    // More than this manager ever gave: its epoch was another one's, in a store that is lost.
    if (report.epoch === this.#parts.term.epoch && report.acceptedRevision > (outgoing?.revision ?? 0)) {
      this.#parts.term.supersede(report.epoch);
    }
    if (outgoing === undefined) return;
    const holds = report.epoch === this.#parts.term.epoch && report.acceptedRevision >= outgoing.revision;
    if (holds) this.#note(report.host, outgoing, true);
    else if (outgoing.accepted) {
      this.#note(report.host, outgoing, false);
      this.#send(report.host, signal);
    }
  }

  #note(host: HostId, outgoing: Outgoing, accepted: boolean): void {
    outgoing.accepted = accepted;
    if (this.#outgoing.get(host) !== outgoing) return;
    if (accepted) this.#behind.delete(host);
    else this.#behind.set(host, outgoing);
  }

  /** The host has done what it could towards its newest plan, and all of it but what `counts` leaves out. */
  matches(report: HostReport | undefined, counts: (problem: HostProblem) => boolean = () => true): boolean {
    if (report === undefined) return false;
    const outgoing = this.#outgoing.get(report.host);
    if (outgoing === undefined || report.epoch !== this.#parts.term.epoch) return false;
    return report.convergedRevision >= outgoing.revision && !report.problems.some(counts);
  }

  /** It has done what it could towards its newest plan: nothing is under way there for an older one. */
  hasFollowed(report: HostReport): boolean {
    const outgoing = this.#outgoing.get(report.host);
    const { epoch } = this.#parts.term;
    return outgoing !== undefined && report.epoch === epoch && report.convergedRevision >= outgoing.revision;
  }

  #send(host: HostId, signal: AbortSignal): void {
    const outgoing = this.#outgoing.get(host);
    const { messaging, clock, term, log } = this.#parts;
    if (outgoing === undefined || outgoing.accepted || outgoing.sending) return;
    if (term.supersededBy !== undefined) return;
    outgoing.sending = true;
    const deliver = async (): Promise<void> => {
      try {
        const plan = { ...outgoing.body, epoch: term.epoch, revision: outgoing.revision };
        const answer = await withDeadline(
          clock,
          limits.planDeliveryMsMax,
          (deadline) => messaging.request(hostAddress(host), topics.plan, plan, deadline),
          signal,
        );
        const receipt = answer as PlanReceipt;
        this.#noteEpoch(receipt.epoch);
        this.#note(host, outgoing, receipt.accepted);
        if (receipt.accepted) this.#parts.onDelivered();
      } catch (cause) {
        // A host that has just come back answers nothing yet; its first report, or the next heartbeat, is the time
        // to try again.
        if (!signal.aborted) log.warn(`Cannot hand ${host} its plan: ${messageOf(cause)}`);
      } finally {
        outgoing.sending = false;
      }
    };
    void deliver();
  }

  #noteEpoch(seen: number): void {
    if (seen > this.#parts.term.epoch) this.#parts.term.supersede(seen);
  }
}

const nothingFor = (host: HostId): HostPlanBody => ({
  host,
  appliances: [],
  segments: [],
  shapedPairs: [],
  tunnels: [],
});
