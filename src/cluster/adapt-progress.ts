import type { ApplianceId } from "#base/ids.ts";
import { isStillLeaving } from "#cluster/leaving.ts";
import { byId, describeBehind, shortList } from "#cluster/progress.ts";
import type { Observed, Progress } from "#cluster/progress.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { HostProblem } from "#protocol/host-report.ts";

/** The hosts of those it is about keep their new sizes, and hold or let go whom they are to; nobody else is waited for. */
export function adaptProgress(
  record: EnsembleRecord,
  about: readonly ApplianceId[],
  observed: Observed,
): Progress {
  const specs = new Map(appliancesOf(record.ensemble).map(({ id, spec }) => [id, spec]));
  const failed = about.flatMap((id) => {
    const parked = record.parked?.[id];
    return parked?.state === "failed" ? [`${id} runs on: ${parked.why}`] : [];
  });
  const waiting = about.flatMap((id): string[] => {
    const parked = record.parked?.[id];
    if (parked?.state === "saving") return [`${id} to be saved`];
    if (parked?.state === "on-disk") {
      return isStillLeaving(record, id) ? [`${id} to be gone from ${parked.host}`] : [];
    }
    if (parked?.state === "failed") return [];
    const host = record.placements[id];
    const spec = specs.get(id);
    // Meanwhile it may have been declared away.
    if (spec === undefined) return [];
    if (host === undefined) return [`${id} has no host`];
    const concerns = ({ appliance }: HostProblem): boolean => appliance === id;
    if (!observed.matches(host, concerns)) return [`${id} on ${describeBehind(host, observed, concerns)}`];
    const state = byId(observed.report(host)?.appliances ?? []).get(id)?.state;
    const isHeld = state === "suspended";
    const hasEnded = state === "exited" || state === "failed";
    return hasEnded || isHeld === (spec.suspended === true)
      ? []
      : [`${id} on ${host} (${state ?? "pending"})`];
  });
  const complete = waiting.length === 0 && failed.length === 0;
  return {
    done: about.length - waiting.length - failed.length,
    total: about.length,
    complete,
    failed: waiting.length === 0 && failed.length > 0,
    message: complete
      ? "in force"
      : waiting.length === 0
        ? shortList(failed)
        : `waiting for ${shortList(waiting)}`,
  };
}
