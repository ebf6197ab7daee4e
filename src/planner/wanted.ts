import type { ApplianceId, HostId } from "#base/ids.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { Appliance, ApplianceLink } from "#model/appliances.ts";
import type { MappingProblem } from "#planner/mapping.ts";

/** Who is to be placed: all appliances of the ensembles but those that are absent. */
export function wantedAppliances(problem: MappingProblem): Appliance[] {
  const all = problem.ensembles.flatMap(appliancesOf);
  const { absent } = problem;
  return absent === undefined || absent.size === 0 ? all : all.filter(({ id }) => !absent.has(id));
}

/** The links between them. */
export function wantedLinks(problem: MappingProblem): ApplianceLink[] {
  const all = problem.ensembles.flatMap(linksOf);
  const { absent } = problem;
  if (absent === undefined || absent.size === 0) return all;
  return all.filter(({ from, to }) => !absent.has(from) && !absent.has(to));
}

/** Where the appliance must stay; undefined: it may be placed. A pin without a place is none. */
export function pinnedHost(problem: MappingProblem, id: ApplianceId): HostId | undefined {
  return problem.pinned?.has(id) === true ? problem.previous?.get(id) : undefined;
}
