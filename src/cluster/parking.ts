import type { ApplianceId, HostId } from "#base/ids.ts";
import { ConsortError } from "#base/errors.ts";
import type { Millis } from "#base/units.ts";
import { millis } from "#base/units.ts";
import { toldOf } from "#cluster/checkpoints.ts";
import type { CheckpointRequest, CheckpointWorld } from "#cluster/checkpoints.ts";
import { leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";

/**
 * A virtual machine that is suspended to disk. Its host is asked for a checkpoint after which the machine does not go
 * on; what is on record then is what it goes on from, at any host, and its host has nothing of it any more.
 *
 *   saving ──(its checkpoint is complete and known: one write)──► on-disk ──(resume)──► placed, begins from it
 *      └──(its host says why not, or takes too long: it runs on)──► failed
 */
export type Parked =
  | {
      readonly state: "saving";
      /** The name of its checkpoint. */
      readonly checkpoint: string;
      readonly sinceMs: number;
    }
  | {
      readonly state: "on-disk";
      readonly checkpoint: string;
      /** Where it ran. */
      readonly host: HostId;
    }
  /** Until its next change. */
  | { readonly state: "failed"; readonly why: string };

export type AllParked = Readonly<Record<ApplianceId, Parked>>;

/** After it, an attempt is over, and the machine runs on. */
const savingMsMax: Millis = millis(600_000);

export function parkedOf(
  { parked }: Pick<EnsembleRecord, "parked">,
  id: ApplianceId,
): Exclude<Parked, { readonly state: "failed" }> | undefined {
  const one = parked?.[id];
  return one === undefined || one.state === "failed" ? undefined : one;
}

/** Ids of all that are being suspended to disk, or are. */
export const parkedIds = (record: Pick<EnsembleRecord, "parked">): readonly ApplianceId[] =>
  (Object.keys(record.parked ?? {}) as ApplianceId[]).filter((id) => parkedOf(record, id) !== undefined);

/** Worded to follow the name of an appliance; undefined: it is not. */
export function whyParked(record: Pick<EnsembleRecord, "parked">, id: ApplianceId): string | undefined {
  const parked = parkedOf(record, id);
  if (parked === undefined) return undefined;
  return parked.state === "saving" ? "is being suspended to disk" : "is suspended to disk";
}

/** Throws `conflict` if one of them is suspended to disk. */
export function checkNotParked(
  record: Pick<EnsembleRecord, "parked">,
  ids: readonly ApplianceId[],
  action: string,
): void {
  for (const id of ids) {
    const why = whyParked(record, id);
    if (why !== undefined)
      throw new ConsortError("conflict", `Cannot ${action}: ${id} ${why}, resume it first`);
  }
}

/** The record with other entries; `undefined` removes one. */
export function withParked(
  record: EnsembleRecord,
  changes: ReadonlyMap<ApplianceId, Parked | undefined>,
): EnsembleRecord {
  const { parked = {}, ...rest } = record;
  const before = Object.entries(parked) as [ApplianceId, Parked][];
  const kept = before.filter(([id]) => !changes.has(id));
  const put = [...changes].flatMap(([id, one]) => (one === undefined ? [] : [[id, one] as const]));
  const after = Object.fromEntries([...kept, ...put]) as AllParked;
  return kept.length + put.length === 0 ? rest : { ...rest, parked: after };
}

/** Without attempts of these that failed or go on; those that are on disk stay so. */
export function withoutAttempts(record: EnsembleRecord, ids: readonly ApplianceId[]): EnsembleRecord {
  const over = ids.filter((id) => {
    const state = record.parked?.[id]?.state;
    return state === "failed" || state === "saving";
  });
  return over.length === 0 ? record : withParked(record, new Map(over.map((id) => [id, undefined])));
}

/** What their hosts are asked to take. */
export function parkRequests(records: readonly EnsembleRecord[]): readonly CheckpointRequest[] {
  return records.flatMap((record) =>
    record.state === "removing"
      ? []
      : Object.entries<Parked>(record.parked ?? {}).flatMap(([id, parked]): CheckpointRequest[] =>
          parked.state !== "saving"
            ? []
            : [
                {
                  id: parked.checkpoint,
                  ensemble: record.ensemble.name,
                  appliances: [id as ApplianceId],
                  state: "taking",
                  stays: true,
                  requestedAtMs: parked.sinceMs,
                },
              ],
        ),
  );
}

/** The record once what hosts told has come of it. The same object when that is nothing. */
export function nextParked(record: EnsembleRecord, world: CheckpointWorld): EnsembleRecord {
  if (record.parked === undefined || record.state === "removing") return record;
  let next = record;
  for (const [key, parked] of Object.entries<Parked>(record.parked)) {
    const id = key as ApplianceId;
    if (parked.state !== "saving") continue;
    const host = record.placements[id];
    if (host === undefined) continue;
    const isTaken = world.known(id)?.taken.some((one) => one.checkpoint.id === parked.checkpoint) === true;
    if (isTaken) {
      next = onDisk(next, id, { state: "on-disk", checkpoint: parked.checkpoint, host });
      continue;
    }
    const told = toldOf(parked.checkpoint, id, world);
    const isLate = world.nowMs - parked.sinceMs > savingMsMax;
    if (told?.state !== "failed" && !isLate) continue;
    const why = told?.message ?? "its checkpoint was not complete in time";
    next = withParked(next, new Map([[id, { state: "failed", why }]]));
  }
  return next === record ? record : { ...next, revision: record.revision + 1 };
}

/** It has no host from now on, and holds nothing of any; the one it was on has to tell that it is gone. */
function onDisk(record: EnsembleRecord, id: ApplianceId, parked: Parked): EnsembleRecord {
  const { [id]: _host, ...others } = record.placements;
  const placements: EnsembleRecord["placements"] = others;
  const leaving = leavingAfter(record, placements);
  const paths = record.paths.filter(({ link }) => link.from !== id && link.to !== id);
  const after = { ...record, placements, paths, leaving, over: [...(record.over ?? []), id] };
  return withParked({ ...after, unleased: unleasedAfter(record, after) }, new Map([[id, parked]]));
}

/** Machines by their names in the ensemble, or all replicas of one. Throws `not_found`, and `bad_input` for tasks. */
export function machinesToPark(
  { ensemble }: Pick<EnsembleRecord, "ensemble">,
  names: readonly string[],
): readonly ApplianceId[] {
  const all = appliancesOf(ensemble);
  const cannot = `Cannot suspend ${ensemble.name}`;
  const found = names.flatMap((name) => {
    const exact = all.filter((one) => one.name === name);
    const some = exact.length > 0 ? exact : all.filter(({ spec }) => spec.name === name);
    if (some.length === 0) {
      const known = all.map((one) => one.name).join(", ");
      throw new ConsortError(
        "not_found",
        `${cannot}/${name}: ${ensemble.name} has no such appliance, it has ${known}`,
      );
    }
    return some;
  });
  const wanted = names.length === 0 ? all : found;
  const task = wanted.find(({ spec }) => spec.kind !== "vm");
  if (task !== undefined) {
    throw new ConsortError(
      "bad_input",
      `Cannot suspend ${task.id} to disk: it is a task, a virtual machine was wanted; without --to-disk it is held in memory`,
    );
  }
  return [...new Set(wanted.map(({ id }) => id))];
}
