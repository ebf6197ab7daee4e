import type { HostId } from "#base/ids.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Topology } from "#model/topology.ts";
import type { PlacedEnsemble } from "#planner/mapping.ts";
import { trafficLoads, uplinkByHost } from "#planner/traffic.ts";

/** What is promised on the cable of each host, in bit/s on the wire: by links, and by all traffic of its appliances. */
export function promisedOnUplinks(
  topology: Topology,
  placed: readonly PlacedEnsemble[],
): ReadonlyMap<HostId, number> {
  const promised = new Float64Array(topology.links.length);
  const add = (link: number, bps: number): void => {
    promised[link] = (promised[link] ?? 0) + bps;
  };
  for (const { ensemble, placements, paths = [] } of placed) {
    for (const { physicalLinks, wireBps } of paths) for (const link of physicalLinks) add(link, wireBps);
    for (const [link, { bps }] of trafficLoads(topology, appliancesOf(ensemble), placements, paths))
      add(link, bps);
  }
  const uplinks = uplinkByHost(topology);
  return new Map(topology.hosts.map(({ id }, at) => [id, promised[uplinks[at] ?? -1] ?? 0]));
}
