import { ConsortError } from "#base/errors.ts";
import { hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { checkMapping, mappingProblem } from "#cluster/admission.ts";
import { restorable } from "#cluster/checkpoints.ts";
import type { RestoreRecord } from "#cluster/checkpoints.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { isStillLeaving, leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import { checkNotParked, machinesToPark, parkedIds, parkedOf, withParked } from "#cluster/parking.ts";
import type { Parked } from "#cluster/parking.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { MappingProblem } from "#planner/mapping.ts";

/** Appliances by their names in the ensemble, or all replicas; no host: where it was if it fits there, else any. */
export type ResumeRequest = { readonly appliances: readonly string[]; readonly to?: string };

/** The record with these asked to be saved. Throws `not_found`, `bad_input` for tasks, `conflict` for what does not run. */
export function parking(
  { seen, parts }: Pick<ClusterContext, "seen" | "parts">,
  before: EnsembleRecord,
  names: readonly string[],
): { readonly record: EnsembleRecord; readonly ids: readonly ApplianceId[] } {
  const ids = machinesToPark(before, names);
  const cannot = `suspend ${before.ensemble.name} to disk`;
  if (before.state === "removing") {
    throw new ConsortError("conflict", `Cannot ${cannot}: it is being removed`);
  }
  checkNotParked(before, ids, cannot);
  for (const id of ids) {
    const host = before.placements[id];
    const machine = host === undefined ? undefined : seen.freshReport(host)?.appliances;
    const now = machine?.find((one) => one.id === id)?.state ?? "not heard of";
    const why = before.moves?.[id] === undefined ? now : "being moved";
    if (why !== "running")
      throw new ConsortError("conflict", `Cannot ${cannot}: ${id} is ${why}, a running one was wanted`);
  }
  const saving = (): Parked => ({
    state: "saving",
    checkpoint: `s-${parts.random.hex(8)}`,
    sinceMs: parts.clock.now(),
  });
  const parked = withParked(before, new Map(ids.map((id) => [id, saving()])));
  return { record: { ...parked, revision: before.revision + 1 }, ids };
}

/** Of those named, who goes on from disk; none: nobody of them is there. Throws `conflict` for some of both. */
export function namedOnDisk(
  record: EnsembleRecord,
  { appliances, to }: ResumeRequest,
): readonly ApplianceId[] {
  const { name } = record.ensemble;
  const parked = parkedIds(record);
  if (appliances.length === 0) {
    if (parked.length > 0 || to === undefined) return parked;
    throw new ConsortError("conflict", `Cannot resume ${name} on ${to}: nothing of it is on disk`);
  }
  const named = appliancesOf(record.ensemble).filter(
    (one) => appliances.includes(one.name) || appliances.includes(one.spec.name),
  );
  const ids = named.map(({ id }) => id).filter((id) => parked.includes(id));
  const other = named.find(({ id }) => !parked.includes(id));
  if (other !== undefined && (ids.length > 0 || to !== undefined)) {
    throw new ConsortError("conflict", `Cannot resume ${other.id} from disk: it is not suspended to disk`);
  }
  return ids;
}

/** The record with these placed, to begin from where they were. Throws `unsatisfiable` when nothing fits; they stay on disk. */
export async function unparked(
  context: ClusterContext,
  before: EnsembleRecord,
  ids: readonly ApplianceId[],
  wanted: string | undefined,
  signal: AbortSignal,
): Promise<EnsembleRecord> {
  const to = wanted === undefined ? undefined : hostId(wanted);
  const cannot = `Cannot resume ${ids.join(", ")}`;
  if (to !== undefined && !context.state.hosts().has(to)) {
    throw new ConsortError("not_found", `${cannot}: no host is called "${to}"`);
  }
  const restores = Object.fromEntries(ids.map((id) => [id, savedOf(context, before, id)] as const));
  const problem = problemOf(context, before, ids, to);
  const mapping = await context.parts.solve(problem, signal);
  const [refusal] = mapping.violations;
  if (refusal !== undefined) {
    throw new ConsortError("unsatisfiable", `${cannot}: ${refusal.message}; it stays on disk`);
  }
  checkMapping(problem, mapping);
  const placements = Object.fromEntries(mapping.placements) as EnsembleRecord["placements"];
  const placed = {
    ...before,
    placements,
    paths: mapping.paths,
    leaving: leavingAfter(before, placements),
    over: (before.over ?? []).filter((id) => !ids.includes(id)),
    restores: { ...before.restores, ...restores },
    revision: before.revision + 1,
  };
  const after = withParked(placed, new Map(ids.map((id) => [id, undefined])));
  return { ...after, unleased: unleasedAfter(before, after) };
}

/** What it goes on from. Throws `conflict` while it is on its way there, `unavailable` when nobody has it now. */
function savedOf({ state, seen }: ClusterContext, record: EnsembleRecord, id: ApplianceId): RestoreRecord {
  const parked = parkedOf(record, id);
  if (parked?.state !== "on-disk" || isStillLeaving(record, id)) {
    throw new ConsortError("conflict", `Cannot resume ${id}: it is still being suspended to disk`);
  }
  const taken = state.checkpoints().get(id);
  const found = restorable(taken, (host) => seen.isThere(host), parked.checkpoint);
  if (found !== undefined) return { ...found, again: record.restores?.[id]?.again ?? 0 };
  const copies = taken?.taken.find((one) => one.checkpoint.id === parked.checkpoint)?.copies ?? [];
  throw new ConsortError(
    "unavailable",
    `Cannot resume ${id}: none of the hosts with a copy of ${parked.checkpoint} is there (${copies.join(", ")}); it stays on disk`,
  );
}

/** All else stays where it is. */
function problemOf(
  { facts, state }: ClusterContext,
  record: EnsembleRecord,
  ids: readonly ApplianceId[],
  to: HostId | undefined,
): MappingProblem {
  const asked = facts();
  const problem = mappingProblem(record.ensemble, asked);
  const staying = Object.entries<HostId>(record.placements) as [ApplianceId, HostId][];
  const homes = ids.flatMap((id): [ApplianceId, HostId][] => {
    const parked = parkedOf(record, id);
    return parked?.state === "on-disk" && state.hosts().has(parked.host) ? [[id, parked.host]] : [];
  });
  const absent = appliancesOf(record.ensemble)
    .map(({ id }) => id)
    .filter((id) => record.placements[id] === undefined && !ids.includes(id));
  const others = asked.topology.hosts.map(({ id }) => id).filter((id) => id !== to);
  return {
    ...problem,
    previous: new Map([...staying, ...(to === undefined ? homes : [])]),
    pinned: new Set(staying.map(([id]) => id)),
    absent: new Set(absent),
    unusableHosts: new Set([...(problem.unusableHosts ?? []), ...(to === undefined ? [] : others)]),
  };
}
