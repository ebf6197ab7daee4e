import type { ApplianceId } from "#base/ids.ts";
import type { ApplianceLink } from "#model/appliances.ts";
import type { PlacementRule } from "#model/ensemble.ts";
import { coveredBy } from "#planner/demand.ts";
import type { MappingProblem } from "#planner/mapping.ts";

export type ApartRule = { readonly rule: PlacementRule; readonly covered: ReadonlySet<ApplianceId> };

export function apartRules(problem: MappingProblem): ApartRule[] {
  return problem.ensembles.flatMap((ensemble) =>
    ensemble.placement
      .filter(({ rule }) => rule === "apart")
      .map((rule) => ({ rule, covered: coveredBy(rule, ensemble) })),
  );
}

/** The rule that keeps the ends of one of these links from coming together, as a clause; empty when none does. */
export function keptApart(
  apart: readonly ApartRule[],
  links: readonly ApplianceLink[],
  scope?: "site",
): string {
  for (const { rule, covered } of apart) {
    if (scope !== undefined && rule.scope !== scope) continue;
    if (!links.some((link) => covered.has(link.from) && covered.has(link.to))) continue;
    return `, and the rule that keeps ${rule.appliances.join(", ")} apart forbids them one ${rule.scope}`;
  }
  return "";
}
