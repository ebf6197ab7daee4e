import type { EnsembleRecord } from "#cluster/records.ts";
import type { Mapping, MappingProblem } from "#planner/mapping.ts";
import type { Explanation } from "#protocol/http/plan.ts";

/** Why each appliance was put where it is, in one line each. */
export function placementReasons(_problem: MappingProblem, _mapping: Mapping): ReadonlyMap<string, string> {
  return new Map();
}

export function explanationOf(record: EnsembleRecord, _problem: MappingProblem): Explanation {
  return { ensemble: record.ensemble.name, appliances: [], links: [] };
}
