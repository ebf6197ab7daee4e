import { hostId, siteName } from "#base/ids.ts";
import type { SiteName } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import type { PhysicalLink, Topology, TunnelKind } from "#model/topology.ts";
import { between, chance, pick } from "#sim/swarm/draw.ts";

/** Two to six hosts in one or two sites, of sizes that sometimes are too small for everything that is asked for. */
export function smallCloud(random: Random): Topology {
  const sites = chance(random, 0.3) ? ["alpha", "beta"] : ["alpha"];
  const tunnel = pick<TunnelKind>(random, ["wireguard", "openvpn", "vxlan"]);
  const sizes = chance(random, 0.3) ? [500, 1000] : [1000, 2000];
  const perSite = sites.map(() => between(random, sites.length === 1 ? 2 : 1, sites.length === 1 ? 5 : 3));
  const hosts = sites.flatMap((site, index) =>
    Array.from({ length: perSite[index] ?? 0 }, (_, number) => ({
      id: hostId(`${site.charAt(0)}${number + 1}`),
      site: siteName(site),
      cpuMilli: milliCpu(pick(random, sizes)),
      memoryBytes: mebibytes(pick(random, [512, 1024, 2048])),
      labels: chance(random, 0.5) ? { disk: pick(random, ["ssd", "hdd"]) } : {},
    })),
  );
  const named = sites.map(siteName);
  return {
    sites: named.map((name) => ({ name, tunnel })),
    hosts,
    devices: [...named.flatMap((site) => devicesOf(site, named.length > 1)), ...routers(named.length)],
    links: [
      ...hosts.map((host) => link(host.id, `sw-${host.site}`, pick(random, [100, 1000]))),
      ...(named.length > 1 ? named.flatMap(wayOut) : []),
    ],
  };
}

function devicesOf(site: SiteName, hasGateway: boolean): Topology["devices"] {
  const fabric = { id: `sw-${site}`, kind: "switch" as const, site };
  return hasGateway ? [fabric, { id: `gw-${site}`, kind: "gateway" as const, site }] : [fabric];
}

const routers = (sites: number): Topology["devices"] =>
  sites > 1 ? [{ id: "router", kind: "router" as const }] : [];

const wayOut = (site: SiteName): PhysicalLink[] => [
  link(`sw-${site}`, `gw-${site}`, 1000),
  link(`gw-${site}`, "router", 200),
];

const link = (a: string, b: string, megabits: number): PhysicalLink => ({
  a,
  b,
  bandwidthBps: megabitsPerSecond(megabits),
  latencyUs: micros(50),
});
