import type { ApplianceId, HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";

/**
 * An appliance never runs twice. When it is placed anew, its record says which hosts it has to leave, and until each
 * of them has told that it is gone (or has been silent for too long to be waited for) its new host does not begin.
 *
 *   up: a1 → b1       leaving {web: [a1]}      b1's plan holds "web" back
 *   a1 tells that it is gone                   leaving nothing, b1 starts it
 */
export type Leaving = Readonly<Record<ApplianceId, readonly HostId[]>>;

type Placed = Pick<EnsembleRecord, "placements" | "leaving">;

/** What is still to be left once `before` is replaced by `placements`; also by appliances that are wanted no more. */
export function leavingAfter(before: Placed | undefined, placements: EnsembleRecord["placements"]): Leaving {
  const hosts = new Map<ApplianceId, Set<HostId>>();
  const leaves = (id: string, host: HostId): void => {
    const appliance = id as ApplianceId;
    if (placements[appliance] === host) return;
    hosts.set(appliance, (hosts.get(appliance) ?? new Set()).add(host));
  };
  for (const [id, some] of Object.entries<readonly HostId[]>(before?.leaving ?? {})) {
    for (const host of some) leaves(id, host);
  }
  for (const [id, host] of Object.entries<HostId>(before?.placements ?? {})) leaves(id, host);
  return Object.fromEntries([...hosts].map(([id, some]) => [id, [...some]])) as Leaving;
}

/** Without the hosts where it is gone. The same object when that changes nothing. */
export function stillLeaving(leaving: Leaving, isGone: (id: ApplianceId, host: HostId) => boolean): Leaving {
  const entries = Object.entries<readonly HostId[]>(leaving);
  const left = entries
    .map(([id, hosts]) => [id, hosts.filter((host) => !isGone(id as ApplianceId, host))] as const)
    .filter(([, hosts]) => hosts.length > 0);
  const count = (some: readonly (readonly [string, readonly HostId[]])[]): number =>
    some.reduce((sum, [, hosts]) => sum + hosts.length, 0);
  return count(left) === count(entries) ? leaving : (Object.fromEntries(left) as Leaving);
}

export function mayRunElsewhere(record: Pick<EnsembleRecord, "leaving">, id: ApplianceId): boolean {
  return (record.leaving[id]?.length ?? 0) > 0;
}
