import { millis } from "#base/units.ts";

/** Every named limit, in one place; docs/reference/limits.md explains them. */
export const limits = {
  /** A host tells its cluster manager that it lives, at least this often. */
  heartbeatMs: millis(1000),
  /** A host not heard of for this long is shown as lost and gets no new appliances. */
  hostSilenceMsMax: millis(4000),
  /** Counters per pair are read from the kernel at most this often. */
  countersPeriodMs: millis(2000),
  /** A host that cannot do a step tries again after this long, or at once when something changes. */
  convergeRetryMs: millis(1000),
  /** One plan handed to a host must be durable there within this time. */
  planDeliveryMsMax: millis(5000),
  /** An operation that has not converged by then ends as failed; the desired state stays. */
  operationMsMax: millis(120_000),
  /** The cluster manager must have answered a host's report within this time; then the host sends a newer one. */
  reportMsMax: millis(5000),
  /** An appliance that was restarted must run this long before it counts as running. */
  settledRunMs: millis(1000),
  /** Restarts after which an appliance that keeps ending fails the operation that started it. */
  restartsBeforeFailure: 3,
  /** Finished operations kept for reading. */
  operationsKept: 200,
  /** Events kept for readers that come back. */
  eventsKept: 10_000,
  /** Events written at once; more wait for the next commit. */
  eventsPerCommit: 1000,
  /** Hosts listed for one appliance in an explanation, best first. */
  candidatesShown: 10,
  /** Bytes of an appliance's log handed out in one answer. */
  logBytesMax: 1024 * 1024,
} as const;
