import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { isOver, pauseBeforeAttempt } from "#model/job.ts";
import type { JobSpec, JobState } from "#model/job.ts";
import type { ApplianceKind } from "#model/ensemble.ts";
import type { JobPlan } from "#protocol/host-plan.ts";
import type { ApplianceState, JobReport } from "#protocol/host-report.ts";

/** What is kept of a job, under a key of its own. */
export type JobRecord = {
  readonly id: string;
  readonly job: JobSpec;
  readonly submittedAtMs: number;
  readonly state: JobState;
  /** Number of the newest attempt; 0: none yet. */
  readonly attempt: number;
  /** Where the newest attempt is, and afterwards what it wrote. */
  readonly host?: HostId;
  /** Its machine has taken it along to this host. */
  readonly adopted?: true;
  /** No attempt before this wall time. */
  readonly dueAtMs?: number;
  readonly cancelled?: true;
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
  readonly exitCode?: number;
  /** Why it waits, or how it ended, for people. */
  readonly message?: string;
  /** How the attempts before the newest one ended. */
  readonly before: readonly EndedAttempt[];
};

export type EndedAttempt = {
  readonly attempt: number;
  readonly host?: HostId;
  readonly endedAtMs: number;
  readonly exitCode?: number;
  readonly message: string;
};

/** What a job's fate depends on, as it is seen now. */
export type JobWorld = {
  readonly nowMs: number;
  /** Of the appliance a job runs in; undefined: there is none, or there will be none. */
  readonly appliance: (id: ApplianceId) => JobAppliance | undefined;
  /** It is there, or may still be. False is proof that nothing of it runs there, nor ever will by what is desired now. */
  readonly mayBeOn: (id: ApplianceId, host: HostId) => boolean;
  /** What the host told last of this attempt. */
  readonly report: (host: HostId, id: string, attempt: number) => JobReport | undefined;
};

export type JobAppliance = {
  readonly kind: ApplianceKind;
  /** Where it is to be; absent: it waits for a host. */
  readonly host?: HostId;
  /** As its host, which is not silent, told last. */
  readonly state?: ApplianceState;
  /** It runs, but the guest in it has not come up, or says nothing any more. */
  readonly isSilent?: boolean;
};

const machine = applianceName("machine");

/** The ensemble made for a job that brings its own machine. */
export const machineEnsembleOf = (id: string): string => `job-${id.slice(id.lastIndexOf("-") + 1)}`;

/** The appliance a job runs in. */
export function applianceOf({ id, job }: Pick<JobRecord, "id" | "job">): ApplianceId {
  if (job.runsIn.kind === "appliance") return job.runsIn.appliance;
  return applianceId(ensembleName(machineEnsembleOf(id)), machine);
}

/**
 * What becomes of a job now; undefined: nothing. An attempt is written down with its host before any host is told, its
 * number is told once, and there is another one only when the one before has ended by its host's own word, or when
 * its appliance is proved to be gone from that host: so no attempt is begun twice, and no two run at once.
 *
 *     queued ──(its appliance runs)──► attempt n on a host ──(told)──► over
 *        ▲                                  │ failed, and may be tried again: after a pause
 *        └──────────────────────────────────┘ machine moved with all that runs in it: found there, not begun anew
 */
export function nextOfJob(record: JobRecord, world: JobWorld): JobRecord | undefined {
  if (isOver(record.state)) return undefined;
  return record.state === "queued" ? nextOfQueued(record, world) : nextOfAttempt(record, world);
}

function nextOfQueued(record: JobRecord, world: JobWorld): JobRecord | undefined {
  if (record.cancelled === true) return over(record, "cancelled", world.nowMs, {});
  if (record.dueAtMs !== undefined && world.nowMs < record.dueAtMs) return undefined;
  const id = applianceOf(record);
  const appliance = world.appliance(id);
  if (appliance === undefined) {
    // That of a machine of its own is on its way, or told of by who makes it.
    if (record.job.runsIn.kind === "machine") return undefined;
    return over(record, "failed", world.nowMs, { message: `${id} is gone` });
  }
  const { host, state } = appliance;
  if (state === "exited" || state === "failed")
    return over(record, "failed", world.nowMs, {
      message: `${id} has ended, and with it all that could run there`,
    });
  if (host === undefined || state !== "running") {
    const message = `waits for ${id}: it is ${state ?? (host === undefined ? "without a host" : `not on ${host} yet`)}`;
    return record.message === message ? undefined : { ...record, message };
  }
  // An attempt that is begun before there is who could take it is a failed one.
  if (appliance.isSilent === true) {
    const message = `waits for ${id}: its guest does not answer`;
    return record.message === message ? undefined : { ...record, message };
  }
  const { message: _waited, dueAtMs: _due, adopted: _adopted, exitCode: _code, ...kept } = record;
  return { ...kept, state: "staging-in", attempt: record.attempt + 1, host, startedAtMs: world.nowMs };
}

function nextOfAttempt(record: JobRecord, world: JobWorld): JobRecord | undefined {
  const { host } = record;
  if (host === undefined) return undefined;
  const told = world.report(host, record.id, record.attempt);
  if (told !== undefined && isOver(told.state)) return ended(record, told, world.nowMs);
  const id = applianceOf(record);
  if (!world.mayBeOn(id, host)) return left(record, world);
  if (told === undefined || told.state === "queued") return undefined;
  if (told.state === record.state && told.message === record.message) return undefined;
  const { message: _before, ...kept } = record;
  return { ...kept, state: told.state, ...(told.message === undefined ? {} : { message: told.message }) };
}

/** Its appliance is on that host no more. */
function left(record: JobRecord, world: JobWorld): JobRecord | undefined {
  const id = applianceOf(record);
  const appliance = world.appliance(id);
  // What runs in a virtual machine goes where that goes. Whether it had begun, only the guest can tell.
  if (appliance?.kind === "vm") {
    return appliance.host === undefined ? undefined : { ...record, host: appliance.host, adopted: true };
  }
  return failed(record, world.nowMs, { message: `${id} has left ${record.host} under it` });
}

function ended(record: JobRecord, told: JobReport, nowMs: number): JobRecord {
  const { exitCode, message } = told;
  // Its state says that by itself.
  const isSaid = message === undefined || message === told.state;
  const how = { ...(exitCode === undefined ? {} : { exitCode }), ...(isSaid ? {} : { message }) };
  if (told.state === "failed") return failed(record, nowMs, how);
  return over(record, told.state, nowMs, how);
}

type How = { readonly exitCode?: number; readonly message?: string };

/** The attempt has; the job only when it may not be tried again. */
function failed(record: JobRecord, nowMs: number, how: How): JobRecord {
  const { attempt, host } = record;
  if (record.cancelled === true) return over(record, "cancelled", nowMs, how);
  if (attempt >= record.job.retry.attemptsMax) return over(record, "failed", nowMs, how);
  const message = how.message ?? "it failed";
  const before: EndedAttempt = {
    attempt,
    endedAtMs: nowMs,
    message,
    ...(host === undefined ? {} : { host }),
    ...(how.exitCode === undefined ? {} : { exitCode: how.exitCode }),
  };
  return {
    ...record,
    state: "queued",
    dueAtMs: nowMs + pauseBeforeAttempt(record.job.retry, attempt + 1),
    message: `attempt ${attempt} of ${record.job.retry.attemptsMax}: ${message}`,
    before: [...record.before, before],
  };
}

function over(record: JobRecord, state: JobState, nowMs: number, how: How): JobRecord {
  const { message: _waited, dueAtMs: _due, ...kept } = record;
  return { ...kept, state, endedAtMs: nowMs, ...how };
}

/** What the host of its newest attempt is told; undefined: it has none. */
export function jobPlanOf(record: JobRecord): JobPlan | undefined {
  const known = plans.get(record);
  if (known !== undefined || record.host === undefined) return known;
  const { id, attempt, job } = record;
  const plan: JobPlan = {
    id,
    attempt,
    job,
    appliance: applianceOf(record),
    ...(record.cancelled === true ? { cancelled: true } : {}),
    ...(record.adopted === true || record.state === "running" || record.state === "staging-out"
      ? { adopt: true }
      : {}),
    // Between two attempts what the last one wrote can be read.
    ...(isOver(record.state) || record.state === "queued" ? { over: true } : {}),
  };
  plans.set(record, plan);
  return plan;
}

/** Equal records are told in equal words, and the same object of the same record. */
const plans = new WeakMap<JobRecord, JobPlan>();

/** By host, in the order of their ids. */
export function jobPlans(records: Iterable<JobRecord>): ReadonlyMap<HostId, readonly JobPlan[]> {
  const all = [...records].flatMap((record) => {
    const plan = jobPlanOf(record);
    return plan === undefined || record.host === undefined ? [] : [{ host: record.host, plan }];
  });
  const byHost = Map.groupBy(
    all.toSorted((a, b) => (a.plan.id < b.plan.id ? -1 : 1)),
    ({ host }) => host,
  );
  return new Map([...byHost].map(([host, list]) => [host, list.map(({ plan }) => plan)]));
}
