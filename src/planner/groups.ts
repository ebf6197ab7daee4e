import type { ApplianceId } from "#base/ids.ts";
import type { Appliance } from "#model/appliances.ts";
import type { HostSpec } from "#model/topology.ts";
import { coveredBy, hostAllows } from "#planner/demand.ts";
import type { MappingProblem } from "#planner/mapping.ts";
import { pinnedHost } from "#planner/wanted.ts";

/** Appliances that are placed as one: *units*, in the order of their first member. */
export type Groups = {
  readonly unitOf: Int32Array;
  readonly count: number;
  readonly members: readonly number[][];
  /** Per unit: position of the only host it can be on; `nowhere`: none; `anywhere`: as its members allow. */
  readonly fixedTo: Int32Array;
};

export const anywhere = -2;
const nowhere = -1;

/**
 * "together on one host" makes appliances one thing to place. Where some of them are pinned, the others must come to
 * them, if that host may take them; pinned to different hosts, they stay apart whatever the rule says.
 */
export function groupAppliances(problem: MappingProblem, appliances: readonly Appliance[]): Groups {
  const root = mergeTogether(problem, appliances);
  const fixed = fixedPlaces(problem, appliances, root);
  const numberOf = new Map<string, number>();
  const members: number[][] = [];
  const fixedTo: number[] = [];
  const unitOf = Int32Array.from(appliances, (_, index) => {
    const place = fixed[index]!;
    // Who can be nowhere, or is on a host nobody knows, drags nobody along.
    const key = place === nowhere ? `alone ${index}` : `${root[index]} ${place}`;
    const known = numberOf.get(key);
    if (known !== undefined) {
      members[known]!.push(index);
      return known;
    }
    numberOf.set(key, members.length);
    fixedTo.push(place);
    return members.push([index]) - 1;
  });
  return { unitOf, count: members.length, members, fixedTo: Int32Array.from(fixedTo) };
}

/** For each appliance the one that stands for all it must be together with. */
function mergeTogether(problem: MappingProblem, appliances: readonly Appliance[]): Int32Array {
  const parent = Int32Array.from(appliances, (_, index) => index);
  const root = (index: number): number => {
    let at = index;
    while (parent[at] !== at) at = parent[at]!;
    return at;
  };
  const position = new Map(appliances.map((one, index) => [one.id, index]));
  for (const ensemble of problem.ensembles) {
    for (const rule of ensemble.placement) {
      if (rule.rule !== "together" || rule.scope !== "host") continue;
      const covered = [...coveredBy(rule, ensemble)].flatMap((id: ApplianceId) => position.get(id) ?? []);
      for (const one of covered) parent[root(one)] = root(covered[0]!);
    }
  }
  return parent.map((_, index) => root(index));
}

function fixedPlaces(
  problem: MappingProblem,
  appliances: readonly Appliance[],
  root: Int32Array,
): Int32Array {
  const fixed = new Int32Array(appliances.length).fill(anywhere);
  if (problem.pinned === undefined || problem.pinned.size === 0) return fixed;
  const { hosts } = problem.topology;
  const hostIndex = new Map(hosts.map((host, index) => [host.id, index]));
  /** Per merged set: the hosts its pinned members are on. */
  const anchors = new Map<number, HostSpec[]>();
  const isPinned = appliances.map(({ id }, index) => {
    const host = pinnedHost(problem, id);
    if (host === undefined) return false;
    const place = hostIndex.get(host) ?? nowhere;
    fixed[index] = place;
    const known = anchors.get(root[index]!) ?? [];
    anchors.set(root[index]!, place === nowhere ? known : [...known, hosts[place]!]);
    return true;
  });
  appliances.forEach(({ spec }, index) => {
    const hostsOfPinned = anchors.get(root[index]!);
    if (isPinned[index] === true || hostsOfPinned === undefined) return;
    const host = hostsOfPinned.find((one) => hostAllows(problem, one, spec));
    fixed[index] = host === undefined ? nowhere : hostIndex.get(host.id)!;
  });
  return fixed;
}
