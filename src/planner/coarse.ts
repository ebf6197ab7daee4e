import type { Random } from "#base/runtime.ts";
import type { PhysicalLink, Topology } from "#model/topology.ts";
import { Annealer, Snapshot } from "#planner/anneal.ts";
import type { ShouldStop } from "#planner/anneal.ts";
import { adjacency } from "#planner/compile.ts";
import type { Compiled, HostChoice } from "#planner/compile.ts";
import { localityOf, placeGreedily } from "#planner/greedy.ts";
import { pathTableOf } from "#planner/path-table.ts";
import { MapperState } from "#planner/state.ts";

/** Which site each unit should go to, decided before any host is. */
export type SiteChoice = {
  /** Every promise between sites can be kept so. */
  readonly kept: boolean;
  readonly siteOfUnit: Int32Array;
  readonly hostsOfSite: readonly Int32Array[];
};

/** Part of what would stay free on average that one site may take more than its share of. */
const unevenShare = 0.3;

/**
 * With several sites the first question is what goes where: links between sites are the scarcest, and a chain of
 * low-latency links moves as a whole or not at all. So each site becomes one host with all it has, and the same
 * search decides on that small problem first.
 */
export function chooseSites(
  compiled: Compiled,
  units: readonly number[],
  random: Random,
  proposals: number,
  shouldStop: ShouldStop,
): SiteChoice {
  const near = groupUnits(compiled);
  const bunched = bunch(compiled, near);
  let chosen = assign(compiled, bunched, units, random, { proposals: proposals / 2, warmest: 8 }, shouldStop);
  for (const warmest of [1, 3, 6]) {
    const effort = { proposals: proposals / 2, warmest, start: chosen.siteOfUnit };
    chosen = assign(compiled, near, units, random, effort, shouldStop);
    if (chosen.kept) break;
  }
  const hosts = Int32Array.from({ length: compiled.hostCount }, (_, host) => host);
  return {
    ...chosen,
    hostsOfSite: Array.from({ length: compiled.siteCount }, (_, site) =>
      hosts.filter((host) => compiled.siteOfHost[host] === site),
    ),
  };
}

type Grouping = { readonly groupOf: Int32Array; readonly count: number };
type Effort = { readonly proposals: number; readonly warmest: number; readonly start?: Int32Array };

/** Site of each unit, with groups of units kept whole; from the sites of `start` where there are some. */
function assign(
  compiled: Compiled,
  { groupOf, count }: Grouping,
  units: readonly number[],
  random: Random,
  effort: Effort,
  shouldStop: ShouldStop,
): Pick<SiteChoice, "siteOfUnit" | "kept"> {
  const coarse = coarsen(compiled, groupOf, count);
  const state = new MapperState(coarse, random, 0);
  const locality = localityOf(coarse);
  const groups = [...new Set(units.map((unit) => groupOf[unit]!))].filter(
    (group) => coarse.choices[coarse.unitChoice[group]!]!.list.length > 0,
  );
  if (effort.start === undefined) placeGreedily(state, groups, locality);
  else {
    for (const unit of units) {
      const group = groupOf[unit]!;
      if (state.hostOf[group] !== -1 || effort.start[unit] === -1) continue;
      state.begin();
      state.move(group, effort.start[unit]!);
      state.route();
    }
    placeGreedily(
      state,
      groups.filter((group) => state.hostOf[group] === -1),
      locality,
    );
  }
  const best = new Snapshot(coarse);
  new Annealer(state, random, locality, groups).run(
    { iterations: effort.proposals, warmest: effort.warmest, coldest: 0.05, focus: 0.2, penaltyMost: 20 },
    best,
    shouldStop,
  );
  best.restore(state);
  return { siteOfUnit: groupOf.map((group) => state.hostOf[group]!), kept: best.violation === 0 };
}

/** Share of an average site that units drawn together by heavy links may take. */
const bunchShare = 1 / 48;

/** Heaviest links first, groups grow together as long as they stay small. */
function bunch(compiled: Compiled, near: Grouping): Grouping {
  const { cpuFree, memoryFree, unitCpu, unitMemory, siteCount, bandwidth, linkFrom, linkTo } = compiled;
  const average = (free: Float64Array): number =>
    Math.max(1, free.reduce((sum, one) => sum + Math.max(0, one), 0) / siteCount);
  const cpuShare = average(cpuFree);
  const memoryShare = average(memoryFree);
  const parent = Int32Array.from({ length: near.count }, (_, group) => group);
  const size = new Float64Array(near.count);
  near.groupOf.forEach((group, unit) => {
    size[group]! += Math.max(unitCpu[unit]! / cpuShare, unitMemory[unit]! / memoryShare, 1e-6);
  });
  const root = (group: number): number => {
    let at = group;
    while (parent[at] !== at) at = parent[at]!;
    return at;
  };
  for (const link of Int32Array.from(bandwidth.keys()).sort(
    (a, b) => bandwidth[b]! - bandwidth[a]! || a - b,
  )) {
    const one = root(near.groupOf[linkFrom[link]!]!);
    const other = root(near.groupOf[linkTo[link]!]!);
    if (one === other || size[one]! + size[other]! > bunchShare) continue;
    parent[other] = one;
    size[one]! += size[other]!;
  }
  const number = new Map<number, number>();
  const groupOf = near.groupOf.map((group) => {
    const top = root(group);
    if (!number.has(top)) number.set(top, number.size);
    return number.get(top)!;
  });
  return { groupOf, count: number.size };
}

/** Units that low-latency links tie together belong to one site. */
function groupUnits(compiled: Compiled): Grouping {
  const { unitCount, adjacentStart, adjacent, linkFrom, linkTo, lowLatency } = compiled;
  const groupOf = new Int32Array(unitCount).fill(-1);
  let count = 0;
  for (let start = 0; start < unitCount; start += 1) {
    if (groupOf[start] !== -1) continue;
    const pending = [start];
    groupOf[start] = count;
    for (let unit = pending.pop(); unit !== undefined; unit = pending.pop()) {
      for (let at = adjacentStart[unit]!; at < adjacentStart[unit + 1]!; at += 1) {
        const link = adjacent[at]!;
        const other = linkFrom[link] === unit ? linkTo[link]! : linkFrom[link]!;
        if (lowLatency[link] === 0 || groupOf[other] !== -1) continue;
        groupOf[other] = count;
        pending.push(other);
      }
    }
    count += 1;
  }
  return { groupOf, count };
}

function coarsen(compiled: Compiled, groupOf: Int32Array, count: number): Compiled {
  const { siteOfHost, siteCount, hostCount } = compiled;
  const perSite = (of: Float64Array, share: number): Float64Array => {
    const total = new Float64Array(siteCount);
    for (let host = 0; host < hostCount; host += 1) total[siteOfHost[host]!]! += Math.max(0, of[host]!);
    return total.map((value) => Math.floor(value * share));
  };
  const perGroup = (of: Float64Array): Float64Array => {
    const total = new Float64Array(count);
    for (let unit = 0; unit < of.length; unit += 1) total[groupOf[unit]!]! += of[unit]!;
    return total;
  };
  const sites = collapseSites(compiled);
  const identity = Int32Array.from({ length: siteCount }, (_, site) => site);
  const linkFrom = compiled.linkFrom.map((unit) => groupOf[unit]!);
  const linkTo = compiled.linkTo.map((unit) => groupOf[unit]!);
  return {
    ...compiled,
    paths: pathTableOf(sites.topology),
    hostCount: siteCount,
    siteOfHost: identity,
    cpuFree: perSite(compiled.cpuFree, usableShare(compiled.cpuFree, compiled.unitCpu)),
    memoryFree: perSite(compiled.memoryFree, usableShare(compiled.memoryFree, compiled.unitMemory)),
    cpuCapacity: perSite(compiled.cpuCapacity, 1),
    memoryCapacity: perSite(compiled.memoryCapacity, 1),
    linkFree: sites.free,
    unitCount: count,
    unitPinned: new Uint8Array(count),
    unitCpu: perGroup(compiled.unitCpu),
    unitNominal: perGroup(compiled.unitNominal),
    unitMemory: perGroup(compiled.unitMemory),
    unitHome: new Int32Array(count).fill(-1),
    unitHomeMembers: new Int32Array(count),
    unitChoice: Int32Array.from({ length: count }, (_, group) => group),
    choices: siteChoices(compiled, groupOf, count),
    linkFrom,
    linkTo,
    ...adjacency(count, linkFrom, linkTo),
    rules: siteRules(compiled, groupOf, count, identity),
    // Promised on the uplinks of hosts, and sites have none.
    traffic: { ...compiled.traffic, isNone: true, start: new Int32Array(count + 1) },
  };
}

/** Sites filled alike leave each the room that whole units need to fit into hosts. */
function usableShare(free: Float64Array, wanted: Float64Array): number {
  const total = free.reduce((sum, one) => sum + Math.max(0, one), 0);
  const share = Math.min(1, wanted.reduce((sum, one) => sum + one, 0) / Math.max(1, total));
  return share + unevenShare * (1 - share);
}

function siteChoices(compiled: Compiled, groupOf: Int32Array, count: number): HostChoice[] {
  const { choices, unitChoice, siteOfHost, siteCount } = compiled;
  const open = choices.map((choice) => {
    const mask = new Uint8Array(siteCount);
    for (const host of choice.list) mask[siteOfHost[host]!] = 1;
    return mask;
  });
  const masks = Array.from({ length: count }, () => new Uint8Array(siteCount).fill(1));
  unitChoice.forEach((choice, unit) => {
    const mask = masks[groupOf[unit]!]!;
    for (let site = 0; site < siteCount; site += 1) mask[site]! &= open[choice]![site]!;
  });
  return masks.map((mask) => ({
    mask,
    list: Int32Array.from(mask.keys()).filter((site) => mask[site] === 1),
  }));
}

type Collapsed = { readonly topology: Topology; readonly free: Float64Array };

const collapsed = new WeakMap<Compiled, Collapsed>();

/** Sites as hosts; what lies between them stays; links side by side become one. Found once for each problem. */
function collapseSites(compiled: Compiled): Collapsed {
  const known = collapsed.get(compiled);
  if (known !== undefined) return known;
  const made = collapse(compiled);
  collapsed.set(compiled, made);
  return made;
}

function collapse(compiled: Compiled): Collapsed {
  const { topology } = compiled.problem;
  const siteNames = [...new Set(topology.hosts.map((host) => host.site))];
  const inside = new Map<string, string>(topology.hosts.map((host) => [host.id, `site ${host.site}`]));
  for (const device of topology.devices) {
    if (device.kind !== "switch" || device.site === undefined || !siteNames.includes(device.site)) continue;
    inside.set(device.id, `site ${device.site}`);
  }
  const links: PhysicalLink[] = [];
  const free: number[] = [];
  const known = new Map<string, number>();
  topology.links.forEach((link, index) => {
    const a = inside.get(link.a) ?? link.a;
    const b = inside.get(link.b) ?? link.b;
    if (a === b) return;
    const key = a < b ? `${a} ${b}` : `${b} ${a}`;
    const at = known.get(key) ?? links.push({ ...link, a, b }) - 1;
    known.set(key, at);
    free[at] = (free[at] ?? 0) + compiled.linkFree[index]!;
  });
  const hosts = siteNames.map((site) => {
    const example = topology.hosts.find((host) => host.site === site)!;
    return { ...example, id: `site ${site}` as typeof example.id };
  });
  const devices = topology.devices.filter((device) => !inside.has(device.id));
  return { topology: { sites: topology.sites, hosts, devices, links }, free: Float64Array.from(free) };
}

function siteRules(
  compiled: Compiled,
  groupOf: Int32Array,
  count: number,
  siteOfHost: Int32Array,
): Compiled["rules"] {
  const { rules, siteCount } = compiled;
  const keep = [...rules.bySite.keys()].filter((rule) => rules.bySite[rule] === 1);
  const renumbered = new Map(keep.map((rule, index) => [rule, index]));
  const members = Array.from({ length: count }, () => new Map<number, number>());
  groupOf.forEach((group, unit) => {
    for (let at = rules.unitStart[unit]!; at < rules.unitStart[unit + 1]!; at += 1) {
      const rule = renumbered.get(rules.unitRule[at]!);
      if (rule === undefined) continue;
      members[group]!.set(rule, (members[group]!.get(rule) ?? 0) + rules.unitMembers[at]!);
    }
  });
  const unitStart = new Int32Array(count + 1);
  members.forEach((of, group) => (unitStart[group + 1] = unitStart[group]! + of.size));
  return {
    source: keep.map((rule) => rules.source[rule]!),
    apart: Uint8Array.from(keep, (rule) => rules.apart[rule]!),
    bySite: Uint8Array.from(keep, () => 1),
    offset: Int32Array.from(keep, (_, index) => index * siteCount),
    counters: keep.length * siteCount,
    siteOfHost,
    unitStart,
    unitRule: Int32Array.from(members.flatMap((of) => [...of.keys()])),
    unitMembers: Int32Array.from(members.flatMap((of) => [...of.values()])),
  };
}
