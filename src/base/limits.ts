import { millis } from "#base/units.ts";

/** Every named limit, in one place; docs/reference/limits.md explains them. */
export const limits = {
  /** A host tells its cluster manager that it lives, at least this often. */
  heartbeatMs: millis(1000),
  /** Reports one cluster manager listens to; with more hosts all of them report, and are missed, less often. */
  reportsPerSecondMax: 500,
  /** Fencing time: without word from the managers for this long, a host holds what may be restarted elsewhere. */
  leaseMs: millis(3000),
  /** A host not heard of for this long is lost: it gets nothing new, and what it ran under a lease runs elsewhere. */
  hostSilenceMsMax: millis(4000),
  /** Counters per pair are read from the kernel at most this often. */
  countersPeriodMs: millis(2000),
  /** A host that cannot do a step tries again after this long, or at once when something changes. */
  convergeRetryMs: millis(1000),
  /** A host that matches its plan compares again after this long, or at once when something changes. */
  convergeCheckMs: millis(60_000),
  /** One plan handed to a host must be durable there within this time. */
  planDeliveryMsMax: millis(5000),
  /** An operation that has not converged by then ends as failed; the desired state stays. */
  operationMsMax: millis(120_000),
  /** Part of a heartbeat in which the cluster manager must have answered a report; then the host sends a newer one. */
  reportAnswerShareMax: 0.7,
  /** Part of a heartbeat after which a host tries again when a report got no answer. */
  reportRetryShare: 0.1,
  /** For each host, the pause between two passes of the cluster manager: in a large cloud news comes in batches. */
  passPauseUsPerHost: 10,
  /** Something that found no other host is tried again after this long, or at once when a host comes or goes. */
  recoveryRetryMs: millis(5000),
  /** Looks at who is lost, and confirmations of the manager's term, in one heartbeat. */
  looksPerHeartbeat: 5,
  /** An appliance that was restarted must run this long before it counts as running. */
  settledRunMs: millis(1000),
  /** Restarts after which an appliance that keeps ending fails the operation that started it. */
  restartsBeforeFailure: 3,
  /** Finished operations kept for reading. */
  operationsKept: 200,
  /** Jobs that are not over; more are refused. */
  jobsMax: 1000,
  /** Jobs that are over kept for reading, with what they wrote. */
  jobsKept: 200,
  /** A host looks at what runs for a job this often at first, and later at least this often. */
  jobLookMs: millis(250),
  jobLookMsMax: millis(2000),
  /** An appliance must let itself be worked in within this time, or the attempt fails. */
  jobReachMsMax: millis(120_000),
  /** What holds a job up for this long is told of it. */
  jobHeldToldMs: millis(5000),
  /** Between the polite and the final signal to a job that is to end. */
  jobEndGraceMs: millis(3000),
  /** Kept of each stream of a job, the newest; the older half goes when it is full. */
  jobOutputBytesMax: 8 * 1024 * 1024,
  /** Bytes of a job's output handed out in one answer. */
  jobOutputBytesPerAnswer: 256 * 1024,
  /** A machine of a group is held no longer than this for the others to be paused, too. */
  checkpointHoldMsMax: millis(2000),
  /** Checkpoints by policy that one host takes at the same time. */
  checkpointsAtOnce: 2,
  /** After one by policy failed, and no more often than this. */
  checkpointRetryMs: millis(5000),
  /** The pause before a store is asked again to remove something; it doubles up to the longest. */
  storeRetryMsMin: millis(5000),
  storeRetryMsMax: millis(600_000),
  /** Requests for checkpoints that are over kept for reading. */
  checkpointRequestsKept: 50,
  /** Events kept for readers that come back. */
  eventsKept: 10_000,
  /** Events written at once; more wait for the next commit. */
  eventsPerCommit: 1000,
  /** Hosts listed for one appliance in an explanation, best first. */
  candidatesShown: 10,
  /** A monitor measures no more often. */
  monitorEveryMsMin: millis(20),
  /** A monitor has its period to measure in, but always this long, and never longer than the next. */
  monitorReadMsMin: millis(3000),
  monitorReadMsMax: millis(10_000),
  /** Programs and pages that the monitors of one host wait for at once; others wait for their turn. */
  monitorProgramsAtOnce: 8,
  /** What was measured is told at most this often. */
  measurementsEveryMs: millis(100),
  /** What was measured is told with at most so many values; of more the newest. */
  measurementsPerMessage: 1000,
  /** A program that a strategy runs inside an appliance is left after this long. */
  strategyRunMsMax: millis(60_000),
  /** Blobs that one host fetches at the same time, and images that it brings in. */
  blobFetchesAtOnce: 2,
  importsAtOnce: 2,
  /** How often uploaded content is sought before its image is given up. */
  importTriesMax: 8,
  /** The pause before content that no host had is asked for again. */
  blobFetchRetryMs: millis(1000),
  /** How far content is on its way is told at most this often. */
  transferToldEveryMs: millis(500),
  /** Content that came, or was needed, so lately is never removed. */
  blobGraceMs: millis(120_000),
  /** Content that nothing needed for so long is removed even if there is room. */
  blobIdleMs: millis(21_600_000),
  /** Content that nothing needs is removed when there is room for no more than this. */
  blobRoomBytesMin: 4 * 1024 ** 3,
  /** Hosts that keep each image of the catalogue, whether or not they need it. */
  imageCopies: 2,
  /** Images in the catalogue. */
  imagesMax: 1000,
  /** Hosts that a host is told of to copy content from and to. */
  blobPeersMax: 8,
  /** One part of an upload. */
  uploadPartBytes: 4 * 1024 * 1024,
  /** Zeros that one part of an upload stands for without carrying them. */
  uploadZeroBytesMax: 256 * 1024 * 1024,
  /** Bytes of an appliance's log handed out in one answer. */
  logBytesMax: 1024 * 1024,
} as const;
