import { bitsPerSecond } from "#base/units.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { ApplianceLink } from "#model/appliances.ts";
import type { ConnectionType } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import { cpuDemandMilli } from "#planner/demand.ts";
import type { MappingProblem, PlacedEnsemble } from "#planner/mapping.ts";
import type { PathTable } from "#planner/path-table.ts";

export type Load = { readonly cpu: Float64Array; readonly memory: Float64Array; readonly link: Float64Array };

/** What the ensembles that stay where they are take from hosts and physical links. */
export function existingLoad(problem: MappingProblem, paths: PathTable): Load {
  const { topology } = problem;
  const hostIndex = new Map(topology.hosts.map((host, index) => [host.id, index]));
  const load: Load = {
    cpu: new Float64Array(topology.hosts.length),
    memory: new Float64Array(topology.hosts.length),
    link: new Float64Array(topology.links.length),
  };
  for (const placed of problem.existing) {
    for (const appliance of appliancesOf(placed.ensemble)) {
      const host = hostIndex.get(placed.placements.get(appliance.id) ?? ("" as never));
      if (host === undefined) continue;
      load.cpu[host]! += cpuDemandMilli(appliance.spec);
      load.memory[host]! += appliance.spec.memoryBytes ?? 0;
    }
    addLinks(load, placed, hostIndex, paths);
  }
  return load;
}

function addLinks(
  load: Load,
  placed: PlacedEnsemble,
  hostIndex: ReadonlyMap<string, number>,
  paths: PathTable,
): void {
  if (placed.paths !== undefined) {
    for (const path of placed.paths) {
      for (const link of path.physicalLinks) if (link < load.link.length) load.link[link]! += path.wireBps;
    }
    return;
  }
  for (const link of linksOf(placed.ensemble)) {
    const from = hostIndex.get(placed.placements.get(link.from) ?? "");
    const to = hostIndex.get(placed.placements.get(link.to) ?? "");
    if (from === undefined || to === undefined || from === to) continue;
    const route = firstRoute(paths, from, to);
    if (route === undefined) continue;
    const rate = demand(link, route.type);
    for (const physical of route.links) load.link[physical]! += rate;
  }
}

function demand(link: ApplianceLink, type: ConnectionType): number {
  return wireRate(bitsPerSecond(Math.ceil(link.spec.bandwidthBps ?? 0)), type);
}

/** The first path with the fewest physical links. */
export function firstRoute(
  paths: PathTable,
  from: number,
  to: number,
): { links: number[]; type: ConnectionType } | undefined {
  let best: { links: number[]; type: ConnectionType } | undefined;
  for (let one = paths.uplinkStart[from]!; one < paths.uplinkStart[from + 1]!; one += 1) {
    const point = paths.uplinkPoint[one]!;
    if (point < 0) {
      if (-1 - point === to) return { links: [paths.uplink[one]!], type: "direct" };
      continue;
    }
    for (let other = paths.uplinkStart[to]!; other < paths.uplinkStart[to + 1]!; other += 1) {
      const end = paths.uplinkPoint[other]!;
      if (end < 0 || paths.count(point, end) === 0) continue;
      const path = paths.first(point, end);
      const start = paths.pathStart[path]!;
      const middle = paths.pool.subarray(start, start + paths.pathLength[path]!);
      if (best !== undefined && best.links.length <= middle.length + 2) continue;
      best = { links: [paths.uplink[one]!, ...middle, paths.uplink[other]!], type: paths.type(path) };
    }
  }
  return best;
}
