import type { ApplianceId } from "#base/ids.ts";
import { coveredBy } from "#planner/demand.ts";
import type { MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import { names } from "./names.ts";

export function ruleViolations(problem: MappingProblem, placements: Placements): Violation[] {
  const siteOf = new Map(problem.topology.hosts.map((host) => [host.id, host.site]));
  return problem.ensembles.flatMap((ensemble) =>
    ensemble.placement.flatMap((rule): Violation[] => {
      const places = new Map<string, ApplianceId[]>();
      for (const id of coveredBy(rule, ensemble)) {
        const host = placements.get(id);
        if (host === undefined) continue;
        const place = rule.scope === "host" ? host : (siteOf.get(host) ?? "");
        places.set(place, [...(places.get(place) ?? []), id]);
      }
      const broken =
        rule.rule === "together"
          ? places.size > 1
            ? [...places.values()]
            : []
          : crowded([...places.values()]);
      if (broken.length === 0) return [];
      const appliances = broken.flat();
      const wanted = rule.rule === "together" ? `all on one ${rule.scope}` : `no two on one ${rule.scope}`;
      return [
        {
          kind: "rule",
          rule,
          appliances,
          message: `Cannot keep ${rule.appliances.join(", ")} ${rule.rule}: ${names(appliances)} on ${[...places.keys()].join(", ")}, wanted ${wanted}`,
          remedy: `Relax the rule, ask for less, or add ${rule.scope}s`,
        },
      ];
    }),
  );
}

function crowded(places: readonly ApplianceId[][]): ApplianceId[][] {
  return places.filter((ids) => ids.length > 1);
}
