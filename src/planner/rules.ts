import type { Appliance } from "#model/appliances.ts";
import type { PlacementRule } from "#model/ensemble.ts";
import type { ApplianceId } from "#base/ids.ts";
import { coveredBy } from "#planner/demand.ts";
import type { MappingProblem } from "#planner/mapping.ts";

/**
 * "apart" rules and "together in one site", as counters per (rule, place). "Together on one host" is not here:
 * it merges appliances into one unit.
 */
export type CompiledRules = {
  readonly source: readonly { readonly rule: PlacementRule; readonly covered: ReadonlySet<ApplianceId> }[];
  /** 1: any two of them in one place are one violation; 0: every place beyond the first is one. */
  readonly apart: Uint8Array;
  /** 1: places are sites; 0: places are hosts. */
  readonly bySite: Uint8Array;
  /** Position of the rule's first counter. */
  readonly offset: Int32Array;
  readonly counters: number;
  readonly siteOfHost: Int32Array;
  /** Rules of each unit in compressed rows, with the number of its members covered. */
  readonly unitStart: Int32Array;
  readonly unitRule: Int32Array;
  readonly unitMembers: Int32Array;
};

const none: ReadonlySet<ApplianceId> = new Set();

export function compileRules(
  problem: MappingProblem,
  appliances: readonly Appliance[],
  unitOf: Int32Array,
  unitCount: number,
  hostCount: number,
  siteOfHost: Int32Array,
): CompiledRules {
  const source = problem.ensembles.flatMap((ensemble) =>
    ensemble.placement
      .filter((rule) => rule.rule === "apart" || rule.scope === "site")
      .map((rule) => ({ rule, covered: coveredBy(rule, ensemble).difference(problem.absent ?? none) })),
  );
  const sites = siteOfHost.reduce((most, site) => Math.max(most, site + 1), 0);
  const offset = new Int32Array(source.length);
  let counters = 0;
  source.forEach(({ rule }, index) => {
    offset[index] = counters;
    counters += rule.scope === "site" ? sites : hostCount;
  });
  const position = new Map(appliances.map((one, index) => [one.id, index]));
  const perUnit = Array.from({ length: unitCount }, () => new Map<number, number>());
  source.forEach(({ covered }, index) => {
    for (const id of covered) {
      const unit = perUnit[unitOf[position.get(id)!]!]!;
      unit.set(index, (unit.get(index) ?? 0) + 1);
    }
  });
  const unitStart = new Int32Array(unitCount + 1);
  perUnit.forEach((unit, index) => (unitStart[index + 1] = unitStart[index]! + unit.size));
  return {
    source,
    apart: Uint8Array.from(source, ({ rule }) => (rule.rule === "apart" ? 1 : 0)),
    bySite: Uint8Array.from(source, ({ rule }) => (rule.scope === "site" ? 1 : 0)),
    offset,
    counters,
    siteOfHost,
    unitStart,
    unitRule: Int32Array.from(perUnit.flatMap((unit) => [...unit.keys()])),
    unitMembers: Int32Array.from(perUnit.flatMap((unit) => [...unit.values()])),
  };
}
