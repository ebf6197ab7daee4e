import { limits } from "#base/limits.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { BreachError } from "#sim/checks/breach.ts";
import type { Breach, Invariant } from "#sim/checks/breach.ts";
import { differences, unconverged } from "#sim/checks/converged.ts";
import { isHopeless } from "#sim/checks/hopeless.ts";
import { Ledger } from "#sim/checks/ledger.ts";
import { contentLeft, leaked, leftovers } from "#sim/checks/nothing-leaked.ts";
import { Watch } from "#sim/checks/watch.ts";
import type { World } from "#sim/checks/world.ts";
import { storedRecords, worldOf } from "#sim/checks/world-of.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { Cloud } from "#sim/cloud.ts";
import type { SimulationSettings } from "#sim/settings.ts";
import { askDown, drive } from "#sim/swarm/drive.ts";
import { calmFrom } from "#sim/swarm/swarm-case.ts";
import type { SwarmCase } from "#sim/swarm/swarm-case.ts";

export type Violation = {
  /** crash: a manager, or the simulation itself, threw what nothing caught. */
  readonly invariant: Invariant | "crash";
  readonly message: string;
  readonly atMs: number;
};

export type SwarmOutcome = {
  /** Absent: every invariant held at every event. */
  readonly violation?: Violation;
  readonly events: number;
  readonly simulatedMs: number;
  /** Equal for equal runs, to the last event. */
  readonly traceHash: string;
  /** The newest lines of the trace. */
  readonly trace: readonly string[];
};

/** Time to settle beyond the longest an operation may take. */
const settleMs = limits.operationMsMax + 20_000;
/** Longer than a lease and the silence after it. */
const steadyMs = limits.hostSilenceMsMax + 1000;
const lookEveryMs = 250;
/** Of the clouds with checkpoints, one in so many lives on for minutes before all is taken down. */
const seedsToALongOne = 4;

/**
 * One run: the faults strike while users act; then they stop, and all must come to match what is desired; then all is
 * taken down, and nothing may be left. Every event is watched. Of the trace, the newest `traceLinesKept` events are kept.
 */
export async function runCase(one: SwarmCase, traceLinesKept = 0): Promise<SwarmOutcome> {
  const { topology, seed, policy } = one;
  const managed = policy === undefined ? {} : { clusterManager: filledBy(policy) };
  const cloud = new SimulatedCloud({ topology, seed, settings: { traceLinesKept, ...managed } });
  let events = 0;
  cloud.onEvent(() => void (events += 1));
  const violation = await violationOf(cloud, one).catch((cause: unknown): Violation => ({
    ...blame(cause),
    atMs: cloud.nowMs,
  }));
  return {
    ...(violation === undefined ? {} : { violation }),
    events,
    simulatedMs: cloud.nowMs,
    traceHash: cloud.traceFingerprint(),
    trace: cloud.traceLines(),
  };
}

/** The real manager, which fills hosts in that way. */
const filledBy =
  (policy: NonNullable<SwarmCase["policy"]>): SimulationSettings["clusterManager"] =>
  (parts) =>
    new ClusterManager({ ...parts, policy });

async function violationOf(cloud: Cloud, one: SwarmCase): Promise<Violation | undefined> {
  const ledger = new Ledger();
  const calmSinceMs = Math.max(calmFrom(one.faults), ...one.steps.map((step) => step.atMs));
  const watch = new Watch(cloud, { topology: one.topology, ledger, calmSinceMs });
  cloud.startCluster("cluster/1");
  for (const host of cloud.machines.keys()) cloud.startHost(host);
  for (const fault of one.faults) cloud.inject(fault);
  drive(cloud, one.steps, ledger);

  await cloud.runUntil(calmSinceMs);
  const look = (): World => worldOf(cloud, one.topology);
  const isAsDesired = (): boolean => !ledger.isWaiting() && differences(look()).length === 0;
  if (!(await settles(cloud, isAsDesired))) {
    watch.checkOverdue();
    const world = look();
    const breach = unconverged(world, (record) => isHopeless(record, world));
    if (breach !== undefined || ledger.isWaiting()) return found(cloud, breach);
  }
  if (look().checkpoints.length > 0 && one.seed % seedsToALongOne === 0) await removeIdleContent(cloud);
  const isEmpty = (): boolean => {
    takeDown(cloud, ledger);
    return !ledger.isWaiting() && leftovers(look()).length === 0;
  };
  if (!(await settles(cloud, isEmpty))) return found(cloud, leaked(look()));
  if (look().machines.every(({ blobs }) => blobs === 0)) return undefined;
  await removeIdleContent(cloud);
  const left = contentLeft(look());
  return left === undefined ? undefined : found(cloud, left);
}

/** When what nobody needs has lain there for long enough, its removal is asked for. */
async function removeIdleContent(cloud: Cloud): Promise<void> {
  await cloud.runUntil(cloud.nowMs + 2 * limits.blobGraceMs);
  cloud.client.ask("collect", "content", (service, signal) => service.collectContent(signal));
  await cloud.runUntil(cloud.nowMs + steadyMs);
}

/** Whatever is still there; a manager that has just taken over may refuse at first. */
function takeDown(cloud: Cloud, ledger: Ledger): void {
  for (const { ensemble, state } of storedRecords(cloud)) {
    if (state === "present" && ledger.waitingSince(ensemble.name) === undefined)
      askDown(cloud, ensemble.name, ledger);
  }
}

/** It holds, and has done so for a while: what was just over may still have consequences. */
async function settles(cloud: Cloud, holds: () => boolean): Promise<boolean> {
  let since = Infinity;
  for (const until = cloud.nowMs + settleMs; cloud.nowMs < until;) {
    since = holds() ? Math.min(since, cloud.nowMs) : Infinity;
    if (cloud.nowMs - since >= steadyMs) return true;
    await cloud.runUntil(cloud.nowMs + lookEveryMs);
  }
  return false;
}

function found(cloud: Cloud, breach: Breach | undefined): Violation {
  const waits: Breach = { invariant: "operations-end", message: "a user's call is not answered" };
  return { ...(breach ?? waits), atMs: cloud.nowMs };
}

function blame(cause: unknown): Pick<Violation, "invariant" | "message"> {
  if (cause instanceof BreachError) return cause.breach;
  return {
    invariant: "crash",
    message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
  };
}
