import { ConsortError } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { isNamedByStore } from "#cluster/checkpoint-stores.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { applianceOf, machineEnsembleOf } from "#cluster/jobs.ts";
import type { JobRecord } from "#cluster/jobs.ts";
import type { JobOutputRange } from "#cluster/job-service.ts";
import { keys } from "#cluster/records.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import { isOver } from "#model/job.ts";
import type { JobSpec } from "#model/job.ts";
import type { JobOutput, JobStatus } from "#protocol/http/job.ts";
import { hostAddress, topics } from "#protocol/topics.ts";
import type { JobOutputBody, SecretBody } from "#protocol/topics.ts";

/** Durable when it resolves; it is begun once its appliance runs. */
export async function submitJob(
  context: ClusterContext,
  job: JobSpec,
  signal: AbortSignal,
): Promise<JobStatus> {
  const { state, parts, events } = context;
  checkTarget(context, job);
  const record = await state.change(() => {
    const all = [...state.jobs().values()];
    if (all.filter((one) => !isOver(one.state)).length >= limits.jobsMax) {
      throw new ConsortError(
        "limit_exceeded",
        `Cannot submit ${job.name}: ${limits.jobsMax} jobs are not over yet, at most so many can be`,
      );
    }
    const id = `${job.name}-${parts.random.hex(4)}`;
    if (state.jobs().has(id) || state.ensemble(machineEnsembleOf(id)) !== undefined)
      throw new ConsortError("conflict", `Cannot submit ${job.name}: ${id} is taken, submit it again`);
    const submittedAtMs = parts.clock.now();
    const submitted: JobRecord = { id, job, submittedAtMs, state: "queued", attempt: 0, before: [] };
    const writes: StoreWrite[] = [{ put: keys.job(id), value: submitted }, ...oldest(context, all)];
    return { writes, result: submitted };
  }, signal);
  events.append("job.submitted", `job/${record.id}`, `submitted, to run in ${applianceOf(record)}`);
  return jobView(record);
}

function checkTarget({ state }: ClusterContext, { name, runsIn }: JobSpec): void {
  if (runsIn.kind === "machine") return;
  const { appliance } = runsIn;
  const ensemble = state.ensemble(appliance.slice(0, appliance.indexOf("/")));
  const there = ensemble?.state === "present" ? appliancesOf(ensemble.ensemble).map(({ id }) => id) : [];
  if (there.includes(appliance)) return;
  const known = there.length === 0 ? "no such ensemble is declared" : `there are ${there.join(", ")}`;
  throw new ConsortError("not_found", `Cannot submit ${name}: no appliance ${appliance}, ${known}`);
}

/** Of those that are over, and of whose machines nothing is left. */
function oldest({ state }: ClusterContext, all: readonly JobRecord[]): StoreWrite[] {
  const ended = all
    .filter((one) => isOver(one.state) && state.ensemble(machineEnsembleOf(one.id)) === undefined)
    .toSorted((a, b) => (b.endedAtMs ?? 0) - (a.endedAtMs ?? 0));
  return ended.slice(limits.jobsKept - 1).map(({ id }) => ({ delete: keys.job(id) }));
}

export function knownJob({ state }: ClusterContext, id: string): JobRecord {
  const record = state.jobs().get(id);
  if (record !== undefined) return record;
  throw new ConsortError("not_found", `Cannot find job "${id}": no such job is kept, see consort job ls`);
}

/** Newest first. */
export function jobViews({ state }: ClusterContext): JobStatus[] {
  return [...state.jobs().values()].toSorted((a, b) => b.submittedAtMs - a.submittedAtMs).map(jobView);
}

/** It ends as soon as its host hears of it; one that is over is refused with `conflict`. */
export async function cancelJob(
  context: ClusterContext,
  id: string,
  signal: AbortSignal,
): Promise<JobStatus> {
  const { state } = context;
  const record = await state.change(() => {
    const before = knownJob(context, id);
    if (isOver(before.state))
      throw new ConsortError("conflict", `Cannot cancel ${id}: it is over (${before.state})`);
    const after: JobRecord = { ...before, cancelled: true };
    return { writes: [{ put: keys.job(id), value: after }], result: after };
  }, signal);
  return jobView(record);
}

/** Forgets one that is over, with what it wrote. */
export async function removeJob(context: ClusterContext, id: string, signal: AbortSignal): Promise<void> {
  const { state } = context;
  await state.change(() => {
    const record = knownJob(context, id);
    if (!isOver(record.state))
      throw new ConsortError("conflict", `Cannot remove ${id}: it is ${record.state}, cancel it first`);
    if (record.job.runsIn.kind === "machine" && state.ensemble(machineEnsembleOf(id)) !== undefined)
      throw new ConsortError(
        "conflict",
        `Cannot remove ${id}: its machine is still being removed, wait a moment`,
      );
    return { writes: [{ delete: keys.job(id) }], result: undefined };
  }, signal);
}

/** A piece of what the newest attempt wrote, from the host that has it. */
export async function jobOutput(
  context: ClusterContext,
  id: string,
  asked: JobOutputRange,
  signal: AbortSignal,
): Promise<JobOutput> {
  const record = knownJob(context, id);
  const { host, attempt } = record;
  if (host === undefined)
    return { attempt, dataBase64: "", fromByte: 0, nextByte: 0, isOver: isOver(record.state) };
  const body: JobOutputBody = { id, attempt, ...asked };
  const output = (await context.parts.messaging.request(
    hostAddress(host),
    topics.jobOutput,
    body,
    signal,
  )) as JobOutput;
  // Of an attempt that is over more may follow, in the next one.
  return { ...output, isOver: output.isOver && isOver(record.state) };
}

/** A host is told only what a job of its own plan names, or where a machine on it keeps its checkpoints. */
export function checkSecretIsNamed({ state }: ClusterContext, { host, name }: SecretBody): void {
  const isNamed = [...state.jobs().values()].some(
    ({ host: where, job, state: at }) =>
      where === host &&
      !isOver(at) &&
      [...job.stageIn, ...job.stageOut].some(({ credentials }) => credentials === name),
  );
  const isStore = isNamedByStore(state.stores().values(), host, name) || restoresWith(state, host, name);
  if (isNamed || isStore) return;
  throw new ConsortError(
    "forbidden",
    `Cannot hand out the secret ${name}: no job on ${host}, and no machine's checkpoints there, name it`,
  );
}

/** A machine there begins from a checkpoint in a store. */
const restoresWith = (state: ClusterContext["state"], host: string, name: string): boolean =>
  state
    .ensembles()
    .some(({ ensemble, placements }) =>
      appliancesOf(ensemble).some(
        ({ id, spec }) => placements[id] === host && spec.vm?.checkpoint?.credentials === name,
      ),
    );

export function jobView(record: JobRecord): JobStatus {
  const { id, job, before, cancelled, adopted: _adopted, ...rest } = record;
  return {
    ...rest,
    id,
    name: job.name,
    appliance: applianceOf(record),
    ownMachine: job.runsIn.kind === "machine",
    attemptsMax: job.retry.attemptsMax,
    cancelled: cancelled === true,
    failedAttempts: [...before],
  };
}
