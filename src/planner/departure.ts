import type { ApplianceId, HostId } from "#base/ids.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { MappingProblem, PlacedEnsemble } from "#planner/mapping.ts";

/** Hosts, what is on them, and which of them take nothing. */
export type PlacedCloud = Pick<
  MappingProblem,
  "topology" | "unusableHosts" | "unusableReasons" | "capabilities"
> & {
  readonly placed: readonly PlacedEnsemble[];
};

/** Where could these go, with everybody else exactly where they are? Hosts in `closed` take none of them. */
export function departureProblem(
  { topology, placed, unusableHosts, capabilities }: PlacedCloud,
  leaving: ReadonlySet<ApplianceId>,
  closed: readonly HostId[],
): MappingProblem {
  const concerned = placed.filter(({ placements }) => [...placements.keys()].some((id) => leaving.has(id)));
  const previous = new Map(concerned.flatMap(({ placements }) => [...placements]));
  const known = concerned.flatMap(({ ensemble }) => appliancesOf(ensemble)).map(({ id }) => id);
  return {
    topology,
    ensembles: concerned.map(({ ensemble }) => ensemble),
    existing: placed.filter((one) => !concerned.includes(one)),
    previous,
    pinned: new Set([...previous.keys()].filter((id) => !leaving.has(id))),
    absent: new Set(known.filter((id) => !previous.has(id))),
    unusableHosts: new Set([...(unusableHosts ?? []), ...closed]),
    ...(capabilities === undefined ? {} : { capabilities }),
  };
}
