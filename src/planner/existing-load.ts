import { bitsPerSecond } from "#base/units.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { ApplianceLink } from "#model/appliances.ts";
import type { ConnectionType, Topology } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import { cpuDemandMilli, memoryDemandBytes, nominalDemandMilli } from "#planner/demand.ts";
import type { HeldCapacity, MappingProblem, PlacedEnsemble } from "#planner/mapping.ts";
import { pathTableOf } from "#planner/path-table.ts";
import type { PathTable } from "#planner/path-table.ts";
import { stayingMachines } from "#planner/reservations.ts";
import { trafficLoads } from "#planner/traffic.ts";

/** What one placed ensemble takes, host by host and link by link. */
type Holding = {
  readonly paths: PathTable;
  readonly hosts: readonly number[];
  readonly cpu: readonly number[];
  readonly nominalCpu: readonly number[];
  readonly memory: readonly number[];
  readonly links: readonly number[];
  readonly rates: readonly number[];
};

/** In a large cloud most of what is placed is the same from one question to the next. */
const holdings = new WeakMap<PlacedEnsemble, Holding>();

/** The last sum for a topology, and of whom: the next question mostly leaves out or adds a few. */
type Sum = {
  readonly members: ReadonlySet<PlacedEnsemble>;
  readonly load: HeldCapacity;
};
const sums = new WeakMap<PathTable, Sum>();

/** What the ensembles that stay where they are take from hosts and physical links. The caller's to change. */
export function existingLoad({ topology, existing, held }: MappingProblem): HeldCapacity {
  const paths = pathTableOf(topology);
  const members = new Set(existing);
  if (held !== undefined || members.size < existing.length) {
    const load = held === undefined ? nothing(topology) : copyOf(held);
    for (const placed of existing) add(load, known(placed, topology, paths), 1);
    return load;
  }
  const last = sums.get(paths);
  const load = last === undefined ? nothing(topology) : copyOf(last.load);
  // All loads are whole numbers: what is added and taken away again leaves nothing behind.
  for (const placed of last?.members ?? []) {
    if (!members.has(placed)) add(load, known(placed, topology, paths), -1);
  }
  for (const placed of members) {
    if (last?.members.has(placed) !== true) add(load, known(placed, topology, paths), 1);
  }
  sums.set(paths, { members, load });
  return copyOf(load);
}

const nothing = ({ hosts, links }: Topology): HeldCapacity => ({
  cpu: new Float64Array(hosts.length),
  nominalCpu: new Float64Array(hosts.length),
  memory: new Float64Array(hosts.length),
  link: new Float64Array(links.length),
});

const copyOf = ({ cpu, nominalCpu, memory, link }: HeldCapacity): HeldCapacity => ({
  cpu: cpu.slice(),
  nominalCpu: nominalCpu.slice(),
  memory: memory.slice(),
  link: link.slice(),
});

function known(placed: PlacedEnsemble, topology: Topology, paths: PathTable): Holding {
  const holding = holdings.get(placed);
  if (holding?.paths === paths) return holding;
  const made = holdingOf(placed, topology, paths);
  holdings.set(placed, made);
  return made;
}

function add(load: HeldCapacity, held: Holding, sign: 1 | -1): void {
  const { hosts, cpu, nominalCpu, memory, links, rates } = held;
  for (let at = 0; at < hosts.length; at += 1) {
    load.cpu[hosts[at]!]! += sign * cpu[at]!;
    load.nominalCpu[hosts[at]!]! += sign * nominalCpu[at]!;
    load.memory[hosts[at]!]! += sign * memory[at]!;
  }
  for (let at = 0; at < links.length; at += 1) load.link[links[at]!]! += sign * rates[at]!;
}

/** The same question with what exists summed up: little to hand to a thread, however much runs. */
export function condensed(problem: MappingProblem): MappingProblem {
  const machines = stayingMachines(problem);
  const load = existingLoad(problem);
  return { ...problem, existing: [], held: machines.size === 0 ? load : { ...load, machines } };
}

function holdingOf(placed: PlacedEnsemble, topology: Topology, paths: PathTable): Holding {
  const { nodeIndex, hostCount } = paths.index;
  const hostAt = (id: string | undefined): number | undefined => {
    const index = id === undefined ? undefined : nodeIndex.get(id);
    return index === undefined || index >= hostCount ? undefined : index;
  };
  const traffic = trafficLoads(
    topology,
    appliancesOf(placed.ensemble),
    placed.placements,
    placed.paths ?? [],
  );
  const taken = new Map<number, { cpu: number; nominalCpu: number; memory: number }>();
  for (const { id, spec } of appliancesOf(placed.ensemble)) {
    const host = hostAt(placed.placements.get(id));
    if (host === undefined) continue;
    const { cpu, nominalCpu, memory } = taken.get(host) ?? { cpu: 0, nominalCpu: 0, memory: 0 };
    taken.set(host, {
      cpu: cpu + cpuDemandMilli(spec),
      nominalCpu: nominalCpu + nominalDemandMilli(spec),
      memory: memory + memoryDemandBytes(spec),
    });
  }
  const carried = new Map<number, number>();
  const carry = (link: number, rate: number): void => {
    if (link < topology.links.length) carried.set(link, (carried.get(link) ?? 0) + rate);
  };
  if (placed.paths !== undefined) {
    for (const path of placed.paths) for (const link of path.physicalLinks) carry(link, path.wireBps);
  } else {
    for (const link of linksOf(placed.ensemble)) {
      const from = hostAt(placed.placements.get(link.from));
      const to = hostAt(placed.placements.get(link.to));
      if (from === undefined || to === undefined || from === to) continue;
      const route = firstRoute(paths, from, to);
      for (const physical of route?.links ?? []) carry(physical, demand(link, route!.type));
    }
  }
  for (const [physical, { bps }] of traffic) carry(physical, bps);
  return {
    paths,
    hosts: [...taken.keys()],
    cpu: Array.from(taken.values(), (one) => one.cpu),
    nominalCpu: Array.from(taken.values(), (one) => one.nominalCpu),
    memory: Array.from(taken.values(), (one) => one.memory),
    links: [...carried.keys()],
    rates: [...carried.values()],
  };
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
