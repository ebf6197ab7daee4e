import { hostId, siteName } from "#base/ids.ts";
import type { SiteName } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import type { Device, HostSpec, PhysicalLink, Topology } from "#model/topology.ts";

export type TopologyShape = {
  readonly network: "tree" | "fat-tree";
  readonly hosts: number;
  readonly sites: number;
};

type Parts = { hosts: HostSpec[]; devices: Device[]; links: PhysicalLink[] };

/** Sites of equal size, joined by a router behind one gateway each. */
export function plantedTopology(shape: TopologyShape, random: Random): Topology {
  const parts: Parts = { hosts: [], devices: [], links: [] };
  const sites = Array.from({ length: shape.sites }, (_, index) => siteName(`s${index}`));
  if (shape.sites > 1) parts.devices.push({ id: "router", kind: "router" });
  sites.forEach((site, index) => {
    const count = Math.floor(shape.hosts / shape.sites) + (index < shape.hosts % shape.sites ? 1 : 0);
    const cores =
      shape.network === "tree" ? addTree(parts, site, count, random) : addFatTree(parts, site, count, random);
    if (shape.sites === 1) return;
    parts.devices.push({ id: `${site}-gateway`, kind: "gateway", site });
    for (const core of cores) connect(parts, core, `${site}-gateway`, 10_000, 20);
    connect(parts, `${site}-gateway`, "router", 10_000, 5000);
  });
  return { sites: sites.map((name) => ({ name, tunnel: "wireguard" as const })), ...parts };
}

/** Eight hosts to a switch, eight switches to the next one, and so on. */
function addTree(parts: Parts, site: SiteName, count: number, random: Random): string[] {
  let level: string[] = [];
  for (let first = 0; first < count; first += 8) {
    const edge = addSwitch(parts, site, `edge${first / 8}`);
    level.push(edge);
    for (let at = first; at < Math.min(count, first + 8); at += 1)
      connect(parts, addHost(parts, site, at, random), edge, 1000, 5);
  }
  for (let depth = 1; level.length > 1; depth += 1) {
    const above: string[] = [];
    for (let first = 0; first < level.length; first += 8) {
      const upper = addSwitch(parts, site, `level${depth}-${first / 8}`);
      above.push(upper);
      for (const lower of level.slice(first, first + 8))
        connect(parts, lower, upper, depth === 1 ? 4000 : 10_000, 5);
    }
    level = above;
  }
  return level;
}

/** k pods of k/2 edge and k/2 aggregation switches, (k/2)² cores, every link 1 Gbit/s; filled as far as needed. */
function addFatTree(parts: Parts, site: SiteName, count: number, random: Random): string[] {
  let k = 4;
  while (k ** 3 / 4 < count) k += 2;
  const half = k / 2;
  const cores = Array.from({ length: half * half }, (_, index) => addSwitch(parts, site, `core${index}`));
  let placed = 0;
  for (let pod = 0; pod < k && placed < count; pod += 1) {
    const aggregation = Array.from({ length: half }, (_, index) =>
      addSwitch(parts, site, `agg${pod}-${index}`),
    );
    aggregation.forEach((name, index) => {
      for (let at = 0; at < half; at += 1) connect(parts, name, cores[index * half + at]!, 1000, 5);
    });
    for (let edge = 0; edge < half && placed < count; edge += 1) {
      const name = addSwitch(parts, site, `edge${pod}-${edge}`);
      for (const upper of aggregation) connect(parts, name, upper, 1000, 5);
      for (let at = 0; at < half && placed < count; at += 1) {
        connect(parts, addHost(parts, site, placed, random), name, 1000, 5);
        placed += 1;
      }
    }
  }
  return cores;
}

function addHost(parts: Parts, site: SiteName, index: number, random: Random): string {
  const size = 2 ** random.integer(3);
  const id = hostId(`${site}-h${index}`);
  const capacity = { cpuMilli: milliCpu(4000 * size), memoryBytes: mebibytes(8192 * size) };
  parts.hosts.push({ id, site, ...capacity, labels: {} });
  return id;
}

function addSwitch(parts: Parts, site: SiteName, name: string): string {
  parts.devices.push({ id: `${site}-${name}`, kind: "switch", site });
  return `${site}-${name}`;
}

function connect(parts: Parts, a: string, b: string, megabits: number, latencyUs: number): void {
  parts.links.push({ a, b, bandwidthBps: megabitsPerSecond(megabits), latencyUs: micros(latencyUs) });
}
