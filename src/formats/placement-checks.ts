import type { Finding, Path } from "#formats/problem.ts";
import { unknownName } from "#formats/suggestion.ts";
import type { ApplianceSpec, Ensemble, PlacementRule } from "#model/ensemble.ts";

/** Names that are not there, and contradictions that no set of hosts could resolve. */
export function placementFindings(ensemble: Ensemble, origins: readonly number[]): Finding[] {
  const known = new Set(ensemble.appliances.map((spec) => spec.name));
  const names = ensemble.placement.flatMap((rule, index) =>
    rule.appliances.flatMap((name, position): Finding[] => {
      const path: Path = ["placement", origins[index] ?? index, rule.rule, position];
      if (rule.appliances.indexOf(name) < position) return [{ path, message: `"${name}" is listed twice` }];
      const unknown = unknownName("appliance", name, known, path);
      return unknown === undefined ? [] : [unknown];
    }),
  );
  if (names.length > 0) return names;
  return (["host", "site"] as const).flatMap((scope) => contradictions(ensemble, scope, origins));
}

type Scope = PlacementRule["scope"];

function contradictions(ensemble: Ensemble, scope: Scope, origins: readonly number[]): Finding[] {
  const specs = new Map(ensemble.appliances.map((spec) => [spec.name, spec]));
  const groups = groupsOf(ensemble.placement, scope);
  const findings: Finding[] = [];
  for (const [index, rule] of ensemble.placement.entries()) {
    const path: Path = ["placement", origins[index] ?? index, rule.rule];
    const clash =
      rule.rule === "apart"
        ? rule.scope === scope && apartClash(rule, groups, specs)
        : holds(rule, scope) && requirementClash(rule, scope, groups, specs);
    if (typeof clash === "string") findings.push({ path, message: clash });
  }
  return findings;
}

/** One host is also one site. */
function holds(rule: PlacementRule, scope: Scope): boolean {
  return rule.rule === "together" && (rule.scope === scope || rule.scope === "host");
}

/** Each name of a "together" rule → the whole group it must share a host (site) with. */
function groupsOf(rules: readonly PlacementRule[], scope: Scope): ReadonlyMap<string, ReadonlySet<string>> {
  const groups = new Map<string, Set<string>>();
  for (const rule of rules.filter((candidate) => holds(candidate, scope))) {
    const merged = new Set(rule.appliances);
    for (const name of rule.appliances) for (const other of groups.get(name) ?? []) merged.add(other);
    for (const name of merged) groups.set(name, merged);
  }
  return groups;
}

function apartClash(
  rule: PlacementRule,
  groups: ReadonlyMap<string, ReadonlySet<string>>,
  specs: ReadonlyMap<string, ApplianceSpec>,
): string | undefined {
  for (const [position, name] of rule.appliances.entries()) {
    const group = groups.get(name);
    if (group === undefined) continue;
    const other = rule.appliances.slice(0, position).find((earlier) => group.has(earlier));
    if (other !== undefined) {
      return `"${other}" and "${name}" are to be apart (${rule.scope}), but other rules keep them together`;
    }
    if ((specs.get(name)?.replicas ?? 1) > 1) {
      return `the replicas of "${name}" are to be apart (${rule.scope}), but other rules keep them together`;
    }
  }
  return undefined;
}

function requirementClash(
  rule: PlacementRule,
  scope: Scope,
  groups: ReadonlyMap<string, ReadonlySet<string>>,
  specs: ReadonlyMap<string, ApplianceSpec>,
): string | undefined {
  const group = groups.get(rule.appliances[0] ?? "") ?? new Set<string>();
  let allowed: readonly string[] | undefined;
  for (const name of group) {
    const { hosts, sites } = specs.get(name)?.placement ?? {};
    const own: readonly string[] | undefined = scope === "host" ? hosts : sites;
    if (own === undefined) continue;
    allowed = allowed === undefined ? own : allowed.filter((place) => own.includes(place));
    if (allowed.length === 0) return `no ${scope} is allowed for all of ${[...group].join(", ")}`;
  }
  return undefined;
}
