import type { ApplianceId } from "#base/ids.ts";
import { bitsPerSecond } from "#base/units.ts";
import type { Appliance, ApplianceLink } from "#model/appliances.ts";
import type { HostSpec } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import {
  abilitiesFor,
  cpuDemandMilli,
  hostAllows,
  memoryDemandBytes,
  nominalDemandMilli,
} from "#planner/demand.ts";
import { existingLoad } from "#planner/existing-load.ts";
import { anywhere, groupAppliances } from "#planner/groups.ts";
import type { Groups } from "#planner/groups.ts";
import type { HeldCapacity, MappingProblem } from "#planner/mapping.ts";
import { pathTableOf } from "#planner/path-table.ts";
import type { PathTable } from "#planner/path-table.ts";
import { compileRules } from "#planner/rules.ts";
import type { CompiledRules } from "#planner/rules.ts";
import { trafficDemand, uplinkByHost } from "#planner/traffic.ts";
import { pinnedHost, wantedAppliances, wantedLinks } from "#planner/wanted.ts";

/**
 * A mapping problem as dense numbers. Appliances that must share a host are one *unit*; links within a unit
 * never touch the network. All loads are whole numbers, so sums are exact and undoing a move restores them.
 */
export type Compiled = {
  readonly problem: MappingProblem;
  readonly paths: PathTable;
  readonly appliances: readonly Appliance[];
  readonly links: readonly ApplianceLink[];
  readonly hostCount: number;
  readonly siteOfHost: Int32Array;
  readonly siteCount: number;
  /** What is left for the units: negative where others already took more than there is. */
  readonly cpuFree: Float64Array;
  readonly memoryFree: Float64Array;
  readonly cpuCapacity: Float64Array;
  readonly memoryCapacity: Float64Array;
  /** Full hosts are preferred to hosts loaded alike. */
  readonly packs: boolean;
  readonly linkFree: Float64Array;
  /** What there is already, as balance counts it. */
  readonly hostNominal: Float64Array;

  readonly unitCount: number;
  readonly unitOf: Int32Array;
  /** 1: holds someone pinned, and stays on the only host of its choice. What the pinned ask for is not in `unitCpu`. */
  readonly unitPinned: Uint8Array;
  readonly unitCpu: Float64Array;
  /** What balance goes by: demand, or a nominal figure for an appliance that asked for nothing. */
  readonly unitNominal: Float64Array;
  readonly unitMemory: Float64Array;
  /** Members that run somewhere now, most of them on `unitHome` (-1: none). */
  readonly unitHome: Int32Array;
  readonly unitHomeMembers: Int32Array;
  /** Positions in `choices`. */
  readonly unitChoice: Int32Array;
  readonly choices: readonly HostChoice[];

  /** Units at both ends, and what the link asks for. A link within one unit has both ends equal. */
  readonly linkFrom: Int32Array;
  readonly linkTo: Int32Array;
  readonly bandwidth: Float64Array;
  readonly localRate: Float64Array;
  readonly tunnelRate: Float64Array;
  readonly lowLatency: Uint8Array;
  /** Links of each unit to other units, in compressed rows. */
  readonly adjacentStart: Int32Array;
  readonly adjacent: Int32Array;
  readonly rules: CompiledRules;
  readonly traffic: CompiledTraffic;

  /** Averages that make loads comparable: one hop of an average link costs 1. */
  readonly meanBandwidth: number;
  readonly meanCpu: number;
  readonly meanMemory: number;
};

/** What single appliances are promised for all their traffic, on the uplink of whichever host they are on. */
export type CompiledTraffic = {
  /** Nobody is promised any. */
  readonly isNone: boolean;
  /** Per appliance. */
  readonly demand: Float64Array;
  /** Of each unit, those of its appliances that are promised some, in compressed rows. */
  readonly start: Int32Array;
  readonly members: Int32Array;
  /** Per link, the appliances at its ends. */
  readonly linkFrom: Int32Array;
  readonly linkTo: Int32Array;
  /** Per host, the physical link; -1: none. */
  readonly uplink: Int32Array;
};

/** Hosts a unit may be placed on at all. */
export type HostChoice = { readonly list: Int32Array; readonly mask: Uint8Array };

export function compileProblem(problem: MappingProblem): Compiled {
  const { topology } = problem;
  const paths = pathTableOf(topology);
  const appliances = wantedAppliances(problem);
  const links = wantedLinks(problem);
  const load = existingLoad(problem);
  const sites = [...new Set(topology.hosts.map((host) => host.site))];
  const groups = groupAppliances(problem, appliances);
  const units = compileUnits(problem, appliances, groups, load);
  const demands = compileLinks(appliances, links, groups);
  const siteOfHost = Int32Array.from(topology.hosts, (host) => sites.indexOf(host.site));
  return {
    problem,
    paths,
    appliances,
    links,
    hostCount: topology.hosts.length,
    siteOfHost,
    siteCount: sites.length,
    cpuFree: Float64Array.from(topology.hosts, (host, index) => host.cpuMilli - load.cpu[index]!),
    memoryFree: Float64Array.from(topology.hosts, (host, index) => host.memoryBytes - load.memory[index]!),
    cpuCapacity: Float64Array.from(topology.hosts, (host) => Math.max(1, host.cpuMilli)),
    memoryCapacity: Float64Array.from(topology.hosts, (host) => Math.max(1, host.memoryBytes)),
    hostNominal: load.nominalCpu,
    packs: problem.policy === "pack",
    linkFree: Float64Array.from(topology.links, (link, index) => link.bandwidthBps - load.link[index]!),
    unitCount: groups.count,
    unitOf: groups.unitOf,
    ...units,
    ...demands,
    ...adjacency(groups.count, demands.linkFrom, demands.linkTo),
    traffic: compileTraffic(problem, appliances, links, groups),
    rules: compileRules(problem, appliances, groups.unitOf, groups.count, topology.hosts.length, siteOfHost),
    meanBandwidth: meanOfPositive(demands.bandwidth),
    meanCpu: meanOfPositive(units.unitCpu),
    meanMemory: meanOfPositive(units.unitMemory),
  };
}

/** What the pinned take is taken from `load` at once: nothing the search does can change it. */
function compileUnits(
  problem: MappingProblem,
  appliances: readonly Appliance[],
  groups: Groups,
  load: HeldCapacity,
) {
  const { hosts } = problem.topology;
  const hostIndex = new Map(hosts.map((host, index) => [host.id, index]));
  const choices: HostChoice[] = [];
  const known = new Map<string, number>();
  const choose = (key: string, allows: (host: HostSpec, index: number) => boolean): number => {
    const found = known.get(key);
    if (found !== undefined) return found;
    const mask = Uint8Array.from(hosts, (host, index) => (allows(host, index) ? 1 : 0));
    known.set(key, choices.length);
    return choices.push({ mask, list: Int32Array.from(hosts.keys()).filter((host) => mask[host] === 1) }) - 1;
  };
  const unit = {
    unitPinned: Uint8Array.from(groups.fixedTo, (place) => (place >= 0 ? 1 : 0)),
    unitCpu: new Float64Array(groups.count),
    unitNominal: new Float64Array(groups.count),
    unitMemory: new Float64Array(groups.count),
    unitHome: new Int32Array(groups.count).fill(-1),
    unitHomeMembers: new Int32Array(groups.count),
    unitChoice: new Int32Array(groups.count),
    choices,
  };
  groups.members.forEach((members, index) => {
    const fixed = groups.fixedTo[index]!;
    const specs = members.map((member) => appliances[member]!.spec);
    const homes = new Map<number, number>();
    for (const member of members) {
      const { id, spec } = appliances[member]!;
      const cpu = cpuDemandMilli(spec);
      const home = hostIndex.get(problem.previous?.get(id) ?? ("" as never));
      if (home !== undefined) homes.set(home, (homes.get(home) ?? 0) + 1);
      unit.unitNominal[index]! += nominalDemandMilli(spec);
      if (fixed >= 0 && pinnedHost(problem, id) !== undefined) {
        load.cpu[fixed]! += cpu;
        load.memory[fixed]! += memoryDemandBytes(spec);
        continue;
      }
      unit.unitCpu[index]! += cpu;
      unit.unitMemory[index]! += memoryDemandBytes(spec);
    }
    for (const [home, count] of homes) {
      if (count <= unit.unitHomeMembers[index]!) continue;
      unit.unitHome[index] = home;
      unit.unitHomeMembers[index] = count;
    }
    unit.unitChoice[index] =
      fixed === anywhere
        ? choose(
            [...new Set(specs.map((spec) => JSON.stringify([abilitiesFor(spec), spec.placement])))]
              .sort()
              .join(),
            (host) => specs.every((spec) => hostAllows(problem, host, spec)),
          )
        : choose(`fixed to ${fixed}`, (_, host) => host === fixed);
  });
  return unit;
}

function compileLinks(appliances: readonly Appliance[], links: readonly ApplianceLink[], groups: Groups) {
  const position = new Map(appliances.map((one, index) => [one.id, index]));
  const unit = (id: ApplianceId): number => groups.unitOf[position.get(id)!]!;
  const rate = (link: ApplianceLink) => bitsPerSecond(Math.ceil(link.spec.bandwidthBps ?? 0));
  return {
    linkFrom: Int32Array.from(links, (link) => unit(link.from)),
    linkTo: Int32Array.from(links, (link) => unit(link.to)),
    bandwidth: Float64Array.from(links, rate),
    localRate: Float64Array.from(links, (link) => wireRate(rate(link), "inter-switch")),
    tunnelRate: Float64Array.from(links, (link) => wireRate(rate(link), "inter-router")),
    lowLatency: Uint8Array.from(links, (link) => (link.spec.latency === "low" ? 1 : 0)),
  };
}

function compileTraffic(
  { topology }: MappingProblem,
  appliances: readonly Appliance[],
  links: readonly ApplianceLink[],
  { count, unitOf }: Groups,
): CompiledTraffic {
  const demand = Float64Array.from(appliances, ({ spec }) => trafficDemand(spec.traffic));
  const promised = [...demand.keys()].filter((member) => demand[member]! > 0);
  const position = new Map(appliances.map((one, index) => [one.id, index]));
  const members = promised.toSorted((a, b) => unitOf[a]! - unitOf[b]!);
  const start = new Int32Array(count + 1);
  for (const member of members) start[unitOf[member]! + 1]! += 1;
  for (let unit = 0; unit < count; unit += 1) start[unit + 1]! += start[unit]!;
  return {
    isNone: promised.length === 0,
    demand,
    start,
    members: Int32Array.from(members),
    linkFrom: Int32Array.from(links, (link) => position.get(link.from)!),
    linkTo: Int32Array.from(links, (link) => position.get(link.to)!),
    uplink: uplinkByHost(topology),
  };
}

/** Rows of the links between different units. */
export function adjacency(unitCount: number, from: Int32Array, to: Int32Array) {
  const adjacentStart = new Int32Array(unitCount + 1);
  from.forEach((unit, link) => {
    if (unit === to[link]) return;
    adjacentStart[unit + 1]! += 1;
    adjacentStart[to[link]! + 1]! += 1;
  });
  for (let unit = 0; unit < unitCount; unit += 1) adjacentStart[unit + 1]! += adjacentStart[unit]!;
  const fill = adjacentStart.slice();
  const adjacent = new Int32Array(adjacentStart[unitCount]!);
  from.forEach((unit, link) => {
    if (unit === to[link]) return;
    adjacent[fill[unit]!++] = link;
    adjacent[fill[to[link]!]!++] = link;
  });
  return { adjacentStart, adjacent };
}

function meanOfPositive(values: Float64Array): number {
  const positive = values.filter((value) => value > 0);
  return positive.length === 0 ? 1 : positive.reduce((sum, value) => sum + value, 0) / positive.length;
}
