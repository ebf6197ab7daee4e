import { bitsPerSecond, micros } from "#base/units.ts";
import { connectionTypes } from "#model/topology.ts";
import type { ConnectionType } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import { withConflict } from "#planner/conflicts.ts";
import type { LinkPath, Mapping, Placements } from "#planner/mapping.ts";
import { bestEffortWeight, latencyWeight } from "#planner/state.ts";
import type { MapperState } from "#planner/state.ts";
import { findViolations } from "#planner/violations.ts";
import { pinnedHost } from "#planner/wanted.ts";

/** The search's dense numbers as plain data with names. */
export function mappingOf(state: MapperState): Mapping {
  const { compiled } = state;
  const { topology } = compiled.problem;
  const placements = new Map(
    compiled.appliances.flatMap(({ id }, index) => {
      const host =
        topology.hosts[state.hostOf[compiled.unitOf[index]!]!]?.id ?? pinnedHost(compiled.problem, id);
      return host === undefined ? [] : [[id, host] as const];
    }),
  );
  const paths = compiled.links.flatMap((_, link) => pathOf(state, link, placements) ?? []);
  const violation = state.violation + state.unmendable;
  const total = state.preference + violation;
  return {
    placements,
    paths,
    violations: findViolations(compiled.problem, placements, paths).map((one) => withConflict(one, state)),
    score: 1 / (1 + total),
    cost: {
      total,
      distance: state.bandwidthHops / compiled.meanBandwidth + bestEffortWeight * state.hops,
      latency: latencyWeight * state.lowLatencyHops,
      balance: state.balanceCost,
      movement: state.moveWeight * state.moved,
      violation,
      bandwidthHopsBps: state.bandwidthHops,
      moved: movedOf(compiled.problem.previous, placements),
    },
  };
}

/** Each by itself: those that must share a host may come from several. */
function movedOf(previous: Placements | undefined, placements: Placements): number {
  let moved = 0;
  for (const [id, host] of placements) if ((previous?.get(id) ?? host) !== host) moved += 1;
  return moved;
}

function pathOf(state: MapperState, link: number, placements: Placements): LinkPath | undefined {
  const { compiled } = state;
  const { topology } = compiled.problem;
  const spec = compiled.links[link]!;
  const from = placements.get(spec.from);
  const to = placements.get(spec.to);
  if (from === undefined || to === undefined) return undefined;
  const bandwidth = bitsPerSecond(compiled.bandwidth[link]!);
  if (from === to) {
    const still = { connection: "trivial" as const, nodes: [from], physicalLinks: [] };
    return { link: spec, ...still, wireBps: bandwidth, latencyUs: micros(0) };
  }
  const middle = state.middle[link]!;
  if (middle < 0) return undefined;
  const { pathStart, pathLength, pathType, pool } = compiled.paths;
  const start = pathStart[middle]!;
  const between = [...pool.subarray(start, start + pathLength[middle]!)];
  const connection: ConnectionType = connectionTypes[pathType[middle]!]!;
  const ends = state.uplinkTo[link]! >= 0 ? [state.uplinkTo[link]!] : [];
  const walked = walk(state, from, [state.uplinkFrom[link]!, ...between, ...ends], between.length);
  const latency = walked.physicalLinks.reduce(
    (sum, physical) => sum + topology.links[physical]!.latencyUs,
    0,
  );
  return {
    link: spec,
    connection,
    ...walked,
    wireBps: wireRate(bandwidth, connection),
    latencyUs: micros(latency),
  };
}

/** Middle paths are kept for one direction only: turned round when they do not continue from the uplink. */
function walk(
  state: MapperState,
  from: string,
  links: readonly number[],
  between: number,
): { nodes: string[]; physicalLinks: number[] } {
  const follow = (order: readonly number[]): string[] | undefined => {
    const nodes = [from];
    for (const physical of order) {
      const { a, b } = state.compiled.problem.topology.links[physical]!;
      const at = nodes.at(-1);
      if (a !== at && b !== at) return undefined;
      nodes.push(a === at ? b : a);
    }
    return nodes;
  };
  const forward = follow(links);
  if (forward !== undefined) return { nodes: forward, physicalLinks: [...links] };
  const turned = [links[0]!, ...links.slice(1, 1 + between).reverse(), ...links.slice(1 + between)];
  return { nodes: follow(turned) ?? [], physicalLinks: turned };
}
