import type { ApplianceId, HostId } from "#base/ids.ts";
import type { ClusterContext } from "#cluster/context.ts";
import type { Progress } from "#cluster/progress.ts";
import type { HostFates } from "#cluster/recovery.ts";
import type { EnsembleRecord } from "#cluster/records.ts";

/** Ends drains of hosts that have nothing left. `stuck`: why an appliance has found no other place, by its id. */
export async function stepDrains(
  context: ClusterContext,
  stuck: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const { state, operations } = context;
  for (const host of state.standings().keys()) {
    const drain = operations.drainOf(host);
    if (drain === undefined) continue;
    const { hasEnded } = context.fates();
    const progress = drainProgress(host, drain.progress.total, state.ensembles(), { stuck, hasEnded });
    await operations.observeDrain(host, progress, signal);
  }
}

/** What runs on a host, or may still run there. */
export function appliancesOn(
  host: HostId,
  records: readonly EnsembleRecord[],
  hasEnded: HostFates["hasEnded"],
): string[] {
  return records.flatMap((record) => [
    ...Object.entries<HostId>(record.placements).flatMap(([id, where]) =>
      where === host && !hasEnded(id as ApplianceId, host) ? [id] : [],
    ),
    ...Object.entries<readonly HostId[]>(record.leaving).flatMap(([id, hosts]) =>
      hosts.includes(host) ? [id] : [],
    ),
  ]);
}

export function drainProgress(
  host: HostId,
  total: number,
  records: readonly EnsembleRecord[],
  { stuck, hasEnded }: { stuck: ReadonlyMap<string, string>; hasEnded: HostFates["hasEnded"] },
): Progress {
  const left = appliancesOn(host, records, hasEnded);
  const [first] = left.filter((id) => stuck.has(id));
  const complete = left.length === 0;
  return {
    done: Math.max(0, total - left.length),
    total: Math.max(total, left.length),
    complete,
    failed: !complete && left.every((id) => stuck.has(id)),
    message: complete
      ? `nothing runs on ${host}`
      : first === undefined
        ? `${left.slice(0, 3).join(", ")}${left.length > 3 ? `, and ${left.length - 3} more` : ""}`
        : `${first} has no other place: ${stuck.get(first)}`,
  };
}
