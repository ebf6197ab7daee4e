import type { ApplianceId } from "#base/ids.ts";
import { bitsPerSecond, formatBandwidth } from "#base/units.ts";
import { existingLoad } from "#planner/existing-load.ts";
import type { LinkPath, MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import { trafficDemand, trafficLoads, trafficWithin } from "#planner/traffic.ts";
import { wantedAppliances, wantedLinks } from "#planner/wanted.ts";
import { keptApart } from "./apart.ts";
import type { ApartRule } from "./apart.ts";
import { names } from "./names.ts";

export function linkViolations(
  problem: MappingProblem,
  placements: Placements,
  paths: readonly LinkPath[],
  apart: readonly ApartRule[],
): Violation[] {
  const { topology } = problem;
  const load = existingLoad(problem).link;
  const users = topology.links.map((): LinkPath[] => []);
  for (const path of paths) {
    if (path.wireBps === 0) continue;
    for (const physical of path.physicalLinks) {
      load[physical]! += path.wireBps;
      users[physical]!.push(path);
    }
  }
  const traffic = trafficLoads(topology, wantedAppliances(problem), placements, paths);
  for (const [physical, { bps }] of traffic) load[physical]! += bps;
  return topology.links.flatMap((physical, index): Violation[] => {
    const wanted = load[index]!;
    const crossing = users[index]!;
    const promised = traffic.get(index);
    if ((crossing.length === 0 && promised === undefined) || wanted <= physical.bandwidthBps) return [];
    const excess = formatBandwidth(bitsPerSecond(wanted - physical.bandwidthBps));
    const own = crossing.reduce((sum, path) => sum + path.wireBps, promised?.bps ?? 0);
    const free = formatBandwidth(bitsPerSecond(Math.max(0, physical.bandwidthBps - wanted + own)));
    const ruled = keptApart(
      apart,
      crossing.map(({ link }) => link),
    );
    const asked = crossing.reduce((sum, { link }) => sum + (link.spec.bandwidthBps ?? 0), 0);
    const headers = promised !== undefined || own > asked ? " with tunnel headers" : "";
    const whose = [
      ...crossing.map(({ link }) => `${link.from}–${link.to}`),
      ...(promised?.appliances ?? []).map((id) => `all traffic of ${id}`),
    ];
    return [
      {
        kind: "link-bandwidth",
        physicalLink: index,
        a: physical.a,
        b: physical.b,
        wantedBps: bitsPerSecond(wanted),
        capacityBps: physical.bandwidthBps,
        links: crossing.map(({ link }) => ({ from: link.from, to: link.to })),
        message: `Cannot reserve bandwidth between ${physical.a} and ${physical.b}: ${free} is free each way, wanted ${formatBandwidth(bitsPerSecond(own))}${headers} for ${names(whose)}${ruled}`,
        remedy: `Ask for ${excess} less over it${crossing.length > 0 ? "" : largestTraffic(problem, promised?.appliances ?? [], wanted - physical.bandwidthBps)}, ${ruled === "" ? "put their ends closer together" : "relax the rule"}, or add capacity between ${physical.a} and ${physical.b}`,
      },
    ];
  });
}

/** What one of them alone could be promised instead, as a clause; for links there is no such figure. */
function largestTraffic(problem: MappingProblem, ids: readonly ApplianceId[], excessBps: number): string {
  const demands = wantedAppliances(problem)
    .filter(({ id }) => ids.includes(id))
    .map(({ id, spec }) => ({ id, demand: trafficDemand(spec.traffic) }));
  const [most] = demands.toSorted((a, b) => b.demand - a.demand);
  const fits = most === undefined ? 0 : trafficWithin(most.demand - excessBps);
  return most === undefined || fits === 0
    ? ""
    : `, for example at most ${formatBandwidth(bitsPerSecond(fits))} for all traffic of ${most.id}`;
}

export function pathViolations(
  problem: MappingProblem,
  placements: Placements,
  paths: readonly LinkPath[],
  apart: readonly ApartRule[],
): Violation[] {
  const known = new Set(paths.map(({ link }) => `${link.from} ${link.to} ${link.network}`));
  const missing = wantedLinks(problem).flatMap((link): Violation[] => {
    const from = placements.get(link.from);
    const to = placements.get(link.to);
    if (from === undefined || to === undefined || known.has(`${link.from} ${link.to} ${link.network}`))
      return [];
    return [
      {
        kind: "unreachable",
        from: link.from,
        to: link.to,
        message: `Cannot connect ${link.from} and ${link.to}: no physical path between ${from} and ${to}`,
        remedy: `Describe or cable a path between ${from} and ${to}, or place both where there is one`,
      },
    ];
  });
  const late = paths.flatMap(({ link, connection, nodes }): Violation[] => {
    if (connection !== "inter-router" || link.spec.latency !== "low") return [];
    const ruled = keptApart(apart, [link], "site");
    return [
      {
        kind: "latency",
        from: link.from,
        to: link.to,
        message: `Cannot keep low latency between ${link.from} and ${link.to}: the path from ${nodes[0]} to ${nodes.at(-1)} crosses a router, wanted one layer-2 network${ruled}`,
        remedy: `${ruled === "" ? "Place both on one site" : "Relax the rule"}, or declare the link's latency high`,
      },
    ];
  });
  return [...missing, ...late];
}
