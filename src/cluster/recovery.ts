import type { ApplianceId, HostId } from "#base/ids.ts";
import { isBoundByLease, leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import { moveOf, withoutMove } from "#cluster/moves.ts";
import { parkedOf } from "#cluster/parking.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { Mapping, MappingProblem, Placements } from "#planner/mapping.ts";

/**
 * What runs where it should not, and where it goes instead. Pure.
 *
 *   host silent for longer than its lease ──► its leased appliances are displaced ─┐
 *   host draining ──► all its appliances are displaced ────────────────────────────┤
 *                                                                                  ▼
 *   the highest priority first: map these alone, all else stays ──► one commit: new placements, and the host fenced
 */
export type Displacement = {
  readonly record: EnsembleRecord;
  /** Of those that are placed in this step; all of them have it. */
  readonly priority: number;
  readonly moving: readonly ApplianceId[];
  /** Those of all priorities. */
  readonly all: readonly ApplianceId[];
  /** Of all, those that run nowhere; what leaves a draining host runs until then. */
  readonly homeless: ReadonlySet<ApplianceId>;
  /** Not displaced, and not to be moved to make room: it is to stay in place, or has ended and would run again. */
  readonly settled: ReadonlySet<ApplianceId>;
};

export type HostFates = {
  readonly isLost: (host: HostId) => boolean;
  readonly isDraining: (host: HostId) => boolean;
  /** It ended for good, as far as that host has told. */
  readonly hasEnded: (id: ApplianceId, host: HostId) => boolean;
};

/** Everything displaced, in the order in which it is to be placed again. */
export function displacements(records: readonly EnsembleRecord[], fates: HostFates): Displacement[] {
  return records
    .filter((record) => record.state === "present")
    .flatMap((record) => ofRecord(record, fates))
    .toSorted((a, b) => b.priority - a.priority);
}

function ofRecord(record: EnsembleRecord, fates: HostFates): Displacement[] {
  const displaced = appliancesOf(record.ensemble).filter(({ id, spec }) => {
    const host = record.placements[id];
    if (host === undefined) return record.over?.includes(id) !== true;
    // Who owns it is decided by the move; see moves.ts.
    const move = moveOf(record, id);
    if (move !== undefined && (move.state !== "sent" || !fates.isLost(host))) return false;
    if (fates.hasEnded(id, host)) return false;
    // It leaves for the disk, and is not begun anew before.
    if (parkedOf(record, id) !== undefined && !fates.isLost(host)) return false;
    if (!fates.isLost(host)) return fates.isDraining(host);
    return spec.onHostLoss === "elsewhere" && isBoundByLease(record, id, host);
  });
  const isDisplaced = new Set(displaced.map(({ id }) => id));
  const settled = new Set(
    appliancesOf(record.ensemble)
      .filter(({ id }) => !isDisplaced.has(id) && isSettled(record, id, fates))
      .map(({ id }) => id),
  );
  const homeless = new Set(
    displaced.flatMap(({ id }) => {
      const host = record.placements[id];
      return host === undefined || fates.isLost(host) ? [id] : [];
    }),
  );
  const levels = Map.groupBy(displaced, ({ spec }) => spec.priority);
  return [...levels].map(([priority, level]) => ({
    record,
    priority,
    moving: level.map(({ id }) => id),
    all: displaced.map(({ id }) => id),
    homeless,
    settled,
  }));
}

/** Whatever becomes of others, it stays where it is. */
export function isSettled(
  { ensemble, placements }: EnsembleRecord,
  id: ApplianceId,
  { hasEnded }: Pick<HostFates, "hasEnded">,
): boolean {
  const spec = appliancesOf(ensemble).find((one) => one.id === id)?.spec;
  const host = placements[id];
  return host !== undefined && (spec?.onHostLoss !== "elsewhere" || hasEnded(id, host));
}

/**
 * The question where they can go: `problem` is the ensemble's own. Everything else stays where it is; `makesRoom`: what
 * may run elsewhere moves too, if there is no other way.
 */
export function replacementProblem(
  problem: MappingProblem,
  { record, moving, homeless, settled }: Displacement,
  makesRoom = false,
): MappingProblem {
  const moves = new Set(moving);
  const staying = Object.entries<HostId>(record.placements).filter(
    ([id]) => !moves.has(id as ApplianceId) && !homeless.has(id as ApplianceId),
  ) as [ApplianceId, HostId][];
  const previous: Placements = new Map(staying);
  const waiting = [...homeless].filter((id) => !moves.has(id));
  const absent = new Set([...waiting, ...(record.over ?? [])]);
  const pinned = new Set([...previous.keys()].filter((id) => !makesRoom || settled.has(id)));
  return { ...problem, previous, pinned, absent };
}

/**
 * The record once they are placed as mapped. Who still waits keeps its place on its lost host, where it goes on when
 * that returns, unless it has a link, or a rule with others: then it has no place.
 */
export function replacedRecord(
  displacement: Displacement,
  mapping: Pick<Mapping, "placements" | "paths">,
): EnsembleRecord {
  const { record } = displacement;
  const waiting = keepingTheirPlace(displacement);
  const kept = Object.entries<HostId>(record.placements).filter(([id]) => waiting.has(id as ApplianceId));
  const placements = Object.fromEntries([...mapping.placements, ...kept]) as EnsembleRecord["placements"];
  const { paths } = mapping;
  const leaving = leavingAfter(record, placements);
  const elsewhere = (Object.keys(record.moves ?? {}) as ApplianceId[]).filter(
    (id) => placements[id] !== record.placements[id],
  );
  const settled = elsewhere.reduce(withoutMove, record);
  const after = { ...settled, placements, paths, leaving };
  return { ...after, unleased: unleasedAfter(record, after) };
}

/** A link or a rule is a promise that others may take the room for meanwhile. */
function keepingTheirPlace({ record, moving, homeless }: Displacement): ReadonlySet<ApplianceId> {
  const moves = new Set(moving);
  const ruled = new Set(record.ensemble.placement.flatMap((rule) => rule.appliances));
  const linked = new Set(linksOf(record.ensemble).flatMap(({ from, to }) => [from, to]));
  return new Set(
    appliancesOf(record.ensemble)
      .filter(
        ({ id, spec }) => homeless.has(id) && !moves.has(id) && !ruled.has(spec.name) && !linked.has(id),
      )
      .map(({ id }) => id),
  );
}

/** All of an ensemble that is displaced, whatever its priority. */
export const wholeOf = (displacement: Displacement): Displacement => ({
  ...displacement,
  moving: displacement.all,
});

/** Hosts that may be given no lease any more once `after` is desired: what they ran belongs to others. */
export function hostsToFence(
  before: EnsembleRecord,
  after: EnsembleRecord,
  isLost: (host: HostId) => boolean,
): HostId[] {
  const left = Object.entries<HostId>(before.placements).filter(
    ([id, host]) => after.placements[id as ApplianceId] !== host && isLost(host),
  );
  return [...new Set(left.map(([, host]) => host))];
}

/**
 * Lost hosts that keep others waiting: something that obeys their lease has to be gone from them before it starts
 * elsewhere, or before its ensemble is removed.
 */
export function hostsWaitedFor(
  records: readonly EnsembleRecord[],
  isLost: (host: HostId) => boolean,
): ReadonlySet<HostId> {
  const hosts = new Set<HostId>();
  for (const record of records) {
    for (const [id, host] of toBeLeft(record)) {
      if (!hosts.has(host) && isLost(host) && isBoundByLease(record, id, host)) hosts.add(host);
    }
  }
  return hosts;
}

function toBeLeft(record: EnsembleRecord): [ApplianceId, HostId][] {
  const leaving = Object.entries<readonly HostId[]>(record.leaving).flatMap(([id, hosts]) =>
    hosts.map((host): [ApplianceId, HostId] => [id as ApplianceId, host]),
  );
  if (record.state === "present") return leaving;
  return [...leaving, ...(Object.entries(record.placements) as [ApplianceId, HostId][])];
}
