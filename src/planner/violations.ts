import type { LinkPath, MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import { apartRules } from "#planner/violations/apart.ts";
import { hostViolations } from "#planner/violations/hosts.ts";
import { linkViolations, pathViolations } from "#planner/violations/links.ts";
import { ruleViolations } from "#planner/violations/rules.ts";
import { scheduleViolations } from "#planner/violations/schedules.ts";
import { unplaced } from "#planner/violations/unplaced.ts";

/** Every promise this placement breaks, for people: what, what is binding, what would have to change. */
export function findViolations(
  problem: MappingProblem,
  placements: Placements,
  paths: readonly LinkPath[],
): Violation[] {
  const apart = apartRules(problem);
  const onHosts = hostViolations(problem, placements);
  const exceeded = new Set(onHosts.flatMap((one) => (one.kind === "host-cpu" ? [one.host] : [])));
  return [
    ...unplaced(problem, placements),
    ...onHosts,
    ...scheduleViolations(problem, placements, exceeded),
    ...linkViolations(problem, placements, paths, apart),
    ...pathViolations(problem, placements, paths, apart),
    ...ruleViolations(problem, placements),
  ];
}
