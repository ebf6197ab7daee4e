import type { ApplianceId, HostId } from "#base/ids.ts";
import { restorable } from "#cluster/checkpoints.ts";
import type { CheckpointsRecord, CheckpointWorld, RestoreRecord } from "#cluster/checkpoints.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { RestoreRefusal } from "#protocol/host-report.ts";

/** What becomes of a machine that could not go on from its checkpoint, for people. */
export type RestoreNews = { readonly appliance: ApplianceId; readonly message: string };

/**
 * A machine whose host told that it cannot go on from the checkpoint it was to go on from:
 *
 *     refused ──► the next older complete one that was not refused ──(refused, too)──► … ──► its disks as they were kept
 *                                                                                            last, without its memory
 *
 * The last is a new start of its guest, and so none is made where it is not to be started again; then its host goes on
 * trying.
 */
export function nextRestores(
  record: EnsembleRecord,
  world: Pick<CheckpointWorld, "report" | "known"> & { readonly isThere: (host: HostId) => boolean },
): { readonly record: EnsembleRecord; readonly news: readonly RestoreNews[] } {
  const news: RestoreNews[] = [];
  if (record.restores === undefined || record.state === "removing") return { record, news };
  let { restores } = record;
  for (const [key, restore] of Object.entries<RestoreRecord>(restores)) {
    const id = key as ApplianceId;
    const refusal = refusalOf(record, id, restore, world);
    if (refusal === undefined) continue;
    const spec = appliancesOf(record.ensemble).find((one) => one.id === id)?.spec;
    const mayBoot = spec !== undefined && spec.restart.when !== "never";
    const next = instead(restore, world.known(id), mayBoot, world.isThere);
    if (next === undefined) continue;
    const { checkpoint, why, times } = refusal;
    restores = { ...restores, [id]: next };
    news.push({ appliance: id, message: `${checkpoint}, tried ${times} times: ${why}; ${words(next)}` });
  }
  if (news.length === 0) return { record, news };
  return { record: { ...record, restores, revision: record.revision + 1 }, news };
}

/** Its host has given up on the one that it is to go on from now. */
function refusalOf(
  { placements }: EnsembleRecord,
  id: ApplianceId,
  { checkpoints: [newest], cold }: RestoreRecord,
  { report }: Pick<CheckpointWorld, "report">,
): RestoreRefusal | undefined {
  const host = placements[id];
  if (host === undefined || cold === true) return undefined;
  const refusal = report(host)?.appliances.find((one) => one.id === id)?.vm?.refused;
  return refusal?.final === true && refusal.checkpoint === newest?.id ? refusal : undefined;
}

function instead(
  { again, refused: before = [], ...last }: RestoreRecord,
  known: CheckpointsRecord | undefined,
  mayBoot: boolean,
  isThere: (host: HostId) => boolean,
): RestoreRecord | undefined {
  const [newest] = last.checkpoints;
  const refused = newest === undefined ? before : [...before, newest.id];
  const found = restorable(known, isThere, undefined, refused);
  if (found !== undefined) return { ...found, again: again + 1, refused };
  return mayBoot ? { ...last, again: again + 1, refused, cold: true } : undefined;
}

const words = ({ checkpoints: [newest], cold }: RestoreRecord): string =>
  cold === true
    ? `it is started anew from its disks as they were in ${newest?.id}`
    : `it goes on from ${newest?.id} instead`;
