import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { knownEnsemble } from "#cluster/changes.ts";
import { placeOf } from "#cluster/checkpoint-stores.ts";
import { restorable } from "#cluster/checkpoints.ts";
import type { CheckpointRequest, RestoreRecord } from "#cluster/checkpoints.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import { partsOf } from "#model/checkpoint-chain.ts";
import type {
  Checkpoints,
  CheckpointRequestStatus,
  CheckpointStatus,
  StoreLeftover,
} from "#protocol/http/checkpoint.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";

export type CheckpointWish = { readonly appliances: readonly string[]; readonly together: boolean };

/** Durable when it resolves; hosts are told at once. Throws `not_found`, and `bad_input` for what is no machine. */
export async function requestCheckpoints(
  context: ClusterContext,
  ensemble: string,
  wish: CheckpointWish,
  signal: AbortSignal,
): Promise<CheckpointRequestStatus> {
  const { state, parts, events, wake } = context;
  const request = await state.change(() => {
    const record = knownEnsemble(context, ensemble);
    const appliances = machinesNamed(record, wish.appliances, "take a checkpoint of");
    const id = `r-${parts.random.hex(4)}`;
    const asked: CheckpointRequest = {
      id,
      ensemble,
      appliances,
      state: "taking",
      requestedAtMs: parts.clock.now(),
      ...(wish.together ? { group: id } : {}),
    };
    return { writes: [{ put: keys.checkpointRequest(id), value: asked }], result: asked };
  }, signal);
  events.append("checkpoint.requested", ensemble, `${request.id}: ${request.appliances.join(", ")}`);
  wake.now();
  return requestView(request);
}

/** By their names, of several replicas all unless one is named; none: all machines of the ensemble. */
function machinesNamed(
  { ensemble }: EnsembleRecord,
  names: readonly string[],
  action: string,
): readonly ApplianceId[] {
  const all = appliancesOf(ensemble);
  const machines = all.filter(({ spec }) => spec.kind === "vm");
  const cannot = `Cannot ${action} ${ensemble.name}`;
  if (names.length === 0 && machines.length === 0) {
    throw new ConsortError("bad_input", `${cannot}: it has no virtual machine`);
  }
  const named = names.flatMap((name) => {
    const found = all.filter(({ id, spec }) => spec.name === name || id === `${ensemble.name}/${name}`);
    if (found.length === 0) {
      throw new ConsortError("not_found", `${cannot}: it has no appliance "${name}"`);
    }
    if (found.some(({ spec }) => spec.kind !== "vm")) {
      throw new ConsortError("bad_input", `${cannot}/${name}: it is a task, a virtual machine was wanted`);
    }
    return found;
  });
  return [...new Set((names.length === 0 ? machines : named).map(({ id }) => id))];
}

function whyNone(known: readonly string[], wanted: string | undefined): string {
  if (known.length === 0) return "no checkpoint of it was taken yet";
  if (wanted !== undefined && !known.includes(wanted))
    return `it has no checkpoint "${wanted}", there are ${known.join(", ")}`;
  return `no host that is there has all of ${wanted ?? `any of ${known.join(", ")}`}`;
}

/** What an appliance is to begin from. Throws `not_found` without a complete checkpoint that can be had. */
export function restoreOf(
  context: ClusterContext,
  record: EnsembleRecord,
  { appliance, checkpoint }: { readonly appliance: string; readonly checkpoint?: string },
): { readonly id: ApplianceId; readonly restore: RestoreRecord } {
  const [id, ...others] = machinesNamed(record, [appliance], "restore");
  if (id === undefined || others.length > 0) {
    throw new ConsortError(
      "bad_input",
      `Cannot restore ${record.ensemble.name}/${appliance}: there are ${others.length + 1} of it, name one such as ${appliance}-1`,
    );
  }
  const taken = context.state.checkpoints().get(id);
  const found = restorable(taken, (host) => context.seen.isThere(host), checkpoint);
  if (found === undefined) {
    const known = taken?.taken.map((one): string => one.checkpoint.id) ?? [];
    throw new ConsortError("not_found", `Cannot restore ${id}: ${whyNone(known, checkpoint)}`);
  }
  return { id, restore: { ...found, again: (record.restores?.[id]?.again ?? 0) + 1 } };
}

/** The record once it is so. */
export function withRestore(
  record: EnsembleRecord,
  { id, restore }: { readonly id: ApplianceId; readonly restore: RestoreRecord },
): EnsembleRecord {
  return { ...record, restores: { ...record.restores, [id]: restore }, revision: record.revision + 1 };
}

/** Of one ensemble, the newest first; also of one that is gone while stores still keep something of it. */
export function checkpointViews(context: ClusterContext, ensemble: string): Checkpoints {
  const { state } = context;
  const prefix = `${ensemble}/`;
  const leftovers = leftoversOf(context, prefix);
  if (leftovers.length === 0) knownEnsemble(context, ensemble);
  const checkpoints = [...state.checkpoints().values()]
    .filter(({ appliance }) => appliance.startsWith(prefix))
    .flatMap(({ taken }) => taken.map(checkpointView))
    .toSorted((a, b) => b.takenAtMs - a.takenAtMs);
  const requests = [...state.checkpointRequests().values()]
    .filter((one) => one.ensemble === ensemble)
    .toSorted((a, b) => b.requestedAtMs - a.requestedAtMs)
    .map(requestView);
  return { checkpoints, requests, leftovers };
}

/** What is being removed from stores, and what cannot be removed from places that are still written to. */
function leftoversOf({ state, seen }: ClusterContext, prefix: string): StoreLeftover[] {
  return [...state.stores().values()].flatMap((record): readonly StoreLeftover[] => {
    const { appliance, host, emptying } = record;
    const place = placeOf(record);
    const by = emptying?.by ?? host;
    const report = seen.report(by)?.stores?.find((one) => one.place === place);
    if (!appliance.startsWith(prefix) || (emptying === undefined && report === undefined)) return [];
    const waits = report?.state === "empty" ? `empty, until ${host} is back or forgotten` : undefined;
    const message = report?.message ?? (seen.isThere(by) ? waits : `${by} is not there`);
    return [
      {
        appliance,
        place,
        host: by,
        ...(emptying === undefined ? {} : { sinceMs: emptying.sinceMs }),
        ...(message === undefined ? {} : { message }),
      },
    ];
  });
}

function checkpointView({ checkpoint, copies, store }: CheckpointReport): CheckpointStatus {
  const { id, appliance, takenAtMs, after, group, pauseMs } = checkpoint;
  const parts = partsOf(checkpoint);
  return {
    id,
    appliance,
    takenAtMs,
    storedBytes: parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    contentBytes: parts.reduce((sum, { contentBytes }) => sum + contentBytes, 0),
    pauseMs,
    copies: [...copies],
    ...(after === undefined ? {} : { after }),
    ...(group === undefined ? {} : { group }),
    ...(store === undefined ? {} : { store }),
  };
}

function requestView({
  id,
  ensemble,
  appliances,
  group,
  state,
  requestedAtMs,
  message,
}: CheckpointRequest): CheckpointRequestStatus {
  return {
    id,
    ensemble,
    appliances: [...appliances],
    together: group !== undefined,
    state,
    requestedAtMs,
    ...(message === undefined ? {} : { message }),
  };
}
