import type { ApplianceId, HostId } from "#base/ids.ts";
import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { Appliance } from "#model/appliances.ts";
import type { TrafficSpec } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import type { LinkPath, Placements } from "#planner/mapping.ts";

/**
 * What an appliance is promised for all its traffic with other hosts is promised on its host's uplink. Its links count
 * within it: the uplink carries the greater of the two. As for links, one number admits both directions, here the
 * greater of out and in.
 */
export function trafficDemand(traffic: TrafficSpec | undefined): number {
  const promised = Math.max(traffic?.outBps ?? 0, traffic?.inBps ?? 0);
  return promised === 0 ? 0 : wireRate(bitsPerSecond(Math.ceil(promised)), "inter-switch");
}

/** The most of what it asks for that takes no more than `leftBps` of an uplink, in steps of 10 kbit/s; 0: nothing. */
export function trafficWithin(leftBps: number): BitsPerSecond {
  const step = 10_000;
  const perStep = wireRate(bitsPerSecond(step), "inter-switch");
  return bitsPerSecond(Math.max(0, Math.floor(leftBps / perStep)) * step);
}

/** What traffic takes of one physical link beyond the links that cross it, and whose it is. */
export type TrafficLoad = { readonly bps: number; readonly appliances: readonly ApplianceId[] };

/** By physical link: only uplinks, and only where traffic is promised. */
export function trafficLoads(
  topology: Topology,
  appliances: readonly Appliance[],
  placements: Placements,
  paths: readonly LinkPath[],
): ReadonlyMap<number, TrafficLoad> {
  const promised = appliances.filter(({ spec }) => trafficDemand(spec.traffic) > 0);
  const loads = new Map<number, { bps: number; appliances: ApplianceId[] }>();
  if (promised.length === 0) return loads;
  const uplinks = uplinksOf(topology);
  const crossing = linksOver(new Set(promised.map(({ id }) => id)), uplinks, placements, paths);
  for (const { id, spec } of promised) {
    const uplink = uplinks.get(placements.get(id) ?? ("" as HostId));
    if (uplink === undefined) continue;
    const load = loads.get(uplink) ?? { bps: 0, appliances: [] };
    load.bps += Math.max(0, trafficDemand(spec.traffic) - (crossing.get(id) ?? 0));
    load.appliances.push(id);
    loads.set(uplink, load);
  }
  return loads;
}

/** What links of these appliances take of their own hosts' uplinks. */
function linksOver(
  whose: ReadonlySet<ApplianceId>,
  uplinks: ReadonlyMap<HostId, number>,
  placements: Placements,
  paths: readonly LinkPath[],
): ReadonlyMap<ApplianceId, number> {
  const crossing = new Map<ApplianceId, number>();
  for (const { link, physicalLinks, wireBps } of paths) {
    const ends = [
      [link.from, physicalLinks[0]],
      [link.to, physicalLinks.at(-1)],
    ] as const;
    for (const [id, physical] of ends) {
      if (!whose.has(id) || physical === undefined) continue;
      if (uplinks.get(placements.get(id) ?? ("" as HostId)) !== physical) continue;
      crossing.set(id, (crossing.get(id) ?? 0) + wireBps);
    }
  }
  return crossing;
}

/** The first cable of each host: where its traffic is promised. */
function uplinksOf(topology: Topology): ReadonlyMap<HostId, number> {
  const known = uplinksByTopology.get(topology);
  if (known !== undefined) return known;
  const hosts = new Set<string>(topology.hosts.map(({ id }) => id));
  const uplinks = new Map<HostId, number>();
  topology.links.forEach(({ a, b }, index) => {
    for (const end of [a, b]) {
      if (hosts.has(end) && !uplinks.has(end as HostId)) uplinks.set(end as HostId, index);
    }
  });
  uplinksByTopology.set(topology, uplinks);
  return uplinks;
}

const uplinksByTopology = new WeakMap<Topology, ReadonlyMap<HostId, number>>();

/** By position of the host; -1: it has no cable. */
export function uplinkByHost(topology: Topology): Int32Array {
  const uplinks = uplinksOf(topology);
  return Int32Array.from(topology.hosts, ({ id }) => uplinks.get(id) ?? -1);
}
