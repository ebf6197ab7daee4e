import type { ApplianceId, HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";

/**
 * An appliance never runs twice. When it is placed anew, its record says which hosts it has to leave, and until each
 * of them has told that it is gone (or is fenced, and so cannot run it without the managers' word) its new host does
 * not begin.
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
  if (entries.length === 0) return leaving;
  const left = entries
    .map(([id, hosts]) => [id, hosts.filter((host) => !isGone(id as ApplianceId, host))] as const)
    .filter(([, hosts]) => hosts.length > 0);
  const count = (some: readonly (readonly [string, readonly HostId[]])[]): number =>
    some.reduce((sum, [, hosts]) => sum + hosts.length, 0);
  return count(left) === count(entries) ? leaving : (Object.fromEntries(left) as Leaving);
}

type Settled = Placed & Pick<EnsembleRecord, "ensemble" | "unleased">;

/**
 * Where appliances may run without obeying a lease once `before` is replaced: on the host of one that is to stay in
 * place, and wherever one of before may still be. Who is told to obey a lease does so only once its host says so.
 */
export function unleasedAfter(
  before: Pick<EnsembleRecord, "unleased"> | undefined,
  after: Omit<Settled, "unleased">,
): Leaving {
  const hosts = new Map<ApplianceId, Set<HostId>>();
  const mayRunOn = (id: ApplianceId, host: HostId): void =>
    void hosts.set(id, (hosts.get(id) ?? new Set()).add(host));
  for (const [id, some] of entriesOf(before?.unleased ?? {})) {
    for (const host of some) {
      if (after.placements[id] === host || after.leaving[id]?.includes(host) === true) mayRunOn(id, host);
    }
  }
  for (const { id, spec } of appliancesOf(after.ensemble)) {
    const host = after.placements[id];
    if (host !== undefined && spec.onHostLoss !== "elsewhere") mayRunOn(id, host);
  }
  return Object.fromEntries([...hosts].map(([id, some]) => [id, [...some]])) as Leaving;
}

/** Without the hosts that say that what runs there obeys a lease. The same object when that changes nothing. */
export function stillUnleased(
  { ensemble, unleased }: Pick<EnsembleRecord, "ensemble" | "unleased">,
  obeysLease: (id: ApplianceId, host: HostId) => boolean,
): Leaving {
  if (Object.keys(unleased).length === 0) return unleased;
  const inPlace = new Set(
    appliancesOf(ensemble).flatMap(({ id, spec }) => (spec.onHostLoss === "elsewhere" ? [] : [id])),
  );
  return stillLeaving(unleased, (id, host) => !inPlace.has(id) && obeysLease(id, host));
}

/** Nothing but a lease keeps it from running there: when that has ended, it does not run there. */
export const isBoundByLease = (
  record: Pick<EnsembleRecord, "unleased">,
  id: ApplianceId,
  host: HostId,
): boolean => record.unleased[id]?.includes(host) !== true;

/** Those that may run there whatever becomes of that host's lease; of what has ended for good nothing runs. */
export function mayRunUnleasedOn(
  host: HostId,
  records: readonly Pick<EnsembleRecord, "unleased">[],
  hasEnded: (id: ApplianceId, host: HostId) => boolean,
): readonly ApplianceId[] {
  return records.flatMap(({ unleased }) =>
    entriesOf(unleased).flatMap(([id, hosts]) => (hosts.includes(host) && !hasEnded(id, host) ? [id] : [])),
  );
}

const entriesOf = (leaving: Leaving): [ApplianceId, readonly HostId[]][] =>
  Object.entries<readonly HostId[]>(leaving) as [ApplianceId, readonly HostId[]][];

export function isStillLeaving(record: Pick<EnsembleRecord, "leaving">, id: ApplianceId): boolean {
  return (record.leaving[id]?.length ?? 0) > 0;
}
