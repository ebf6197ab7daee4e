import { applianceId, ensembleName } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { bitsPerSecond, bytes, milliCpu, millis } from "#base/units.ts";
import type { ApplianceSpec, Ensemble, LinkSpec } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { plantedTopology } from "#planner/planted-topology.ts";
import type { TopologyShape } from "#planner/planted-topology.ts";

/**
 * Problems that are known to have a solution, for tests and benchmarks: appliances are put on hosts first, then
 * demands are derived so that this placement keeps every promise.
 */
export type PlantedShape = TopologyShape & {
  readonly appliances: number;
  readonly graph: "ring" | "star" | "tree" | "random3";
  /** Share of every used host's CPU and memory, and of the physical links, that the planted placement takes. */
  readonly load: number;
};

export type PlantedProblem = {
  readonly topology: Topology;
  readonly ensemble: Ensemble;
  readonly placements: ReadonlyMap<ApplianceId, HostId>;
  /** Of the planted placement: sum over links of bandwidth × physical links. */
  readonly bandwidthHopsBps: number;
};

/** Above what any tunnel adds to a frame, so that the planted placement holds with headers. */
const headerShare = 1.08;

export function plantProblem(shape: PlantedShape, random: Random): PlantedProblem {
  const topology = plantedTopology(shape, random);
  const edges = requestGraph(shape, random);
  const hosts = plantPlacement(shape, edges, topology, random);
  const network = new PlantedNetwork(topology, random);
  const routes = edges.map(([a, b]) => network.route(hosts[a]!, hosts[b]!));
  const rates = plantRates(topology, routes, shape.load, random);
  const name = ensembleName("planted");
  const demands = plantHostDemands(topology, hosts, shape.load, random);
  const ensemble: Ensemble = {
    name,
    appliances: demands.map((demand, index) => applianceSpec(index, demand)),
    networks: [{ name: "lan" }],
    links: edges.map(([a, b], index): LinkSpec => {
      const near = !routes[index]!.crossesRouter && random.next() < 0.3;
      const ends = { from: `a${a}`, to: `a${b}`, priority: 4 };
      return {
        ...ends,
        bandwidthBps: bitsPerSecond(rates[index]!),
        ...(near ? { latency: "low" as const } : {}),
      };
    }),
    placement: [],
  };
  return {
    topology,
    ensemble,
    placements: new Map(
      hosts.map((host, index) => [applianceId(name, `a${index}` as never), topology.hosts[host]!.id]),
    ),
    bandwidthHopsBps: routes.reduce((sum, route, index) => sum + rates[index]! * route.links.length, 0),
  };
}

type Demand = { readonly cpuMilli: number; readonly memoryBytes: number };

function applianceSpec(index: number, { cpuMilli, memoryBytes }: Demand): ApplianceSpec {
  return {
    name: `a${index}`,
    kind: "task",
    replicas: 1,
    command: ["true"],
    env: {},
    files: [],
    cpu: { kind: "share", shareMilli: milliCpu(cpuMilli), limitMilli: milliCpu(cpuMilli) },
    memoryBytes: bytes(memoryBytes),
    networks: ["lan"],
    restart: { when: "always", backoffMsMin: millis(100), backoffMsMax: millis(10_000) },
    onHostLoss: "elsewhere",
    priority: 5,
    placement: { labels: {} },
    stopGraceMs: millis(1000),
  };
}

function requestGraph(shape: PlantedShape, random: Random): (readonly [number, number])[] {
  const count = shape.appliances;
  const rest = Array.from({ length: count - 1 }, (_, index) => index + 1);
  switch (shape.graph) {
    case "ring":
      return count < 3 ? rest.map((one) => [0, one]) : [...rest, count].map((one) => [one - 1, one % count]);
    case "star":
      return rest.map((one) => [0, one]);
    case "tree":
      return rest.map((one) => [random.integer(one), one]);
    case "random3": {
      const seen = new Set<string>();
      const edges: [number, number][] = rest.map((one) => [random.integer(one), one]);
      for (const [a, b] of edges) seen.add(`${a} ${b}`);
      for (let extra = 0; extra < count / 2; extra += 1) {
        const a = random.integer(count);
        const b = random.integer(count);
        const key = `${Math.min(a, b)} ${Math.max(a, b)}`;
        if (a === b || seen.has(key)) continue;
        seen.add(key);
        edges.push([Math.min(a, b), Math.max(a, b)]);
      }
      return edges;
    }
    default:
      return shape.graph satisfies never;
  }
}

/** At random within locality: each near one it talks to, and no host much fuller than the average. */
function plantPlacement(
  shape: PlantedShape,
  edges: readonly (readonly [number, number])[],
  topology: Topology,
  random: Random,
): number[] {
  const count = topology.hosts.length;
  const most = Math.ceil((1.5 * shape.appliances) / count) + 1;
  const used = new Int32Array(count);
  const partner = new Map<number, number>();
  for (const [a, b] of edges) if (!partner.has(Math.max(a, b))) partner.set(Math.max(a, b), Math.min(a, b));
  const placed: number[] = [];
  for (let index = 0; index < shape.appliances; index += 1) {
    const near = placed[partner.get(index) ?? -1] ?? random.integer(count);
    let host = near;
    for (let attempt = 0; ; attempt += 1) {
      const dice = random.next() + attempt * 0.03;
      const reach = dice < 0.25 ? 0 : dice < 0.6 ? 6 : dice < 0.9 ? 40 : count;
      host = Math.min(count - 1, Math.max(0, near + random.integer(2 * reach + 1) - reach));
      if (used[host]! < most) break;
    }
    used[host]! += 1;
    placed.push(host);
  }
  return placed;
}

function plantHostDemands(
  topology: Topology,
  placed: readonly number[],
  load: number,
  random: Random,
): Demand[] {
  const weights = placed.map(() => ({ cpu: 0.2 + random.next(), memory: 0.2 + random.next() }));
  const sums = topology.hosts.map(() => ({ cpu: 0, memory: 0 }));
  placed.forEach((host, index) => {
    sums[host]!.cpu += weights[index]!.cpu;
    sums[host]!.memory += weights[index]!.memory;
  });
  return placed.map((host, index) => {
    const { cpuMilli, memoryBytes } = topology.hosts[host]!;
    return {
      cpuMilli: Math.floor((load * cpuMilli * weights[index]!.cpu) / sums[host]!.cpu),
      memoryBytes: Math.floor((load * memoryBytes * weights[index]!.memory) / sums[host]!.memory),
    };
  });
}

type Route = { readonly links: readonly number[]; readonly crossesRouter: boolean };

/** Two rounds of fair shares: nearly every route ends with a physical link at the wanted load. */
function plantRates(topology: Topology, routes: readonly Route[], load: number, random: Random): number[] {
  const free = topology.links.map((link) => (load * link.bandwidthBps) / headerShare);
  const rates = routes.map((route) => (route.links.length === 0 ? Math.floor(random.next() * 5e8) : 0));
  for (const round of [0, 1]) {
    const crossing = topology.links.map(() => 0);
    for (const { links } of routes) for (const link of links) crossing[link]! += 1;
    const shares = routes.map(({ links }) =>
      links.length === 0 ? 0 : Math.min(...links.map((link) => free[link]! / crossing[link]!)),
    );
    routes.forEach(({ links }, index) => {
      const rate = Math.floor(shares[index]! * (round === 0 ? 0.3 + 0.7 * random.next() : 1));
      if (links.length > 0) rates[index]! += rate;
      for (const link of links) free[link]! -= rate;
    });
  }
  return rates;
}

/** Random shortest routes, found without the mapper's own tables. */
class PlantedNetwork {
  readonly #topology: Topology;
  readonly #random: Random;
  readonly #neighbours = new Map<string, { to: string; link: number }[]>();
  readonly #distances = new Map<string, ReadonlyMap<string, number>>();
  readonly #routers: ReadonlySet<string>;

  constructor(topology: Topology, random: Random) {
    this.#topology = topology;
    this.#random = random;
    this.#routers = new Set(
      topology.devices.filter((device) => device.kind === "router").map((device) => device.id),
    );
    topology.links.forEach(({ a, b }, link) => {
      for (const [from, to] of [[a, b] as const, [b, a] as const]) {
        const list = this.#neighbours.get(from) ?? [];
        list.push({ to, link });
        this.#neighbours.set(from, list);
      }
    });
  }

  route(from: number, to: number): Route {
    const goal: string = this.#topology.hosts[to]!.id;
    const distances = this.#distancesTo(goal);
    const links: number[] = [];
    let crossesRouter = false;
    for (let at: string = this.#topology.hosts[from]!.id; at !== goal;) {
      const closer = this.#neighbours
        .get(at)!
        .filter((one) => distances.get(one.to) === distances.get(at)! - 1);
      const step = closer[this.#random.integer(closer.length)]!;
      links.push(step.link);
      at = step.to;
      crossesRouter ||= this.#routers.has(at);
    }
    return { links, crossesRouter };
  }

  #distancesTo(goal: string): ReadonlyMap<string, number> {
    const known = this.#distances.get(goal);
    if (known !== undefined) return known;
    const distances = new Map([[goal, 0]]);
    const queue = [goal];
    for (let head = 0; head < queue.length; head += 1) {
      for (const { to } of this.#neighbours.get(queue[head]!)!) {
        if (distances.has(to)) continue;
        distances.set(to, distances.get(queue[head]!)! + 1);
        queue.push(to);
      }
    }
    this.#distances.set(goal, distances);
    return distances;
  }
}
