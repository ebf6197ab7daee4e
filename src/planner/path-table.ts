import { connectionTypes } from "#model/topology.ts";
import type { ConnectionType, Topology } from "#model/topology.ts";

/**
 * Candidate paths between hosts, found once per pair of switches and kept in flat arrays.
 *
 *   host a ──uplink── switch ══ middle path (0 or more links) ══ switch ──uplink── host b
 *   host a ─────────────────────── cable ──────────────────────────────────────── host b
 *
 * A path is (uplink of a, middle path, uplink of b). A tree has one middle path for a pair of switches, a fat tree
 * many of the same length: up to `pathsPerPair` of them are kept, spread evenly over all and shifted from pair to
 * pair so that together they use every core switch. Middle paths are kept once for both directions, as every
 * promise holds in both. Hosts do not forward frames. Rows are computed on first use.
 */
const pathsPerPair = 16;

/** The middle path of two hosts cabled to each other. */
export const directPath = 0;

export type TopologyIndex = ReturnType<typeof indexTopology>;

/** Dense numbers for hosts, then devices; neighbours in compressed rows. */
export function indexTopology(topology: Topology) {
  const hostCount = topology.hosts.length;
  const nodeIds = [
    ...topology.hosts.map((host): string => host.id),
    ...topology.devices.map((device) => device.id),
  ];
  const nodeIndex = new Map(nodeIds.map((id, index) => [id, index]));
  const ends = topology.links.map(
    (link) => [nodeIndex.get(link.a) ?? -1, nodeIndex.get(link.b) ?? -1] as const,
  );
  const start = new Int32Array(nodeIds.length + 1);
  for (const [a, b] of ends) {
    if (a < 0 || b < 0 || a === b) continue;
    start[a + 1]! += 1;
    start[b + 1]! += 1;
  }
  for (let node = 0; node < nodeIds.length; node += 1) start[node + 1]! += start[node]!;
  const fill = start.slice();
  const neighbour = new Int32Array(start[nodeIds.length]!);
  const via = new Int32Array(neighbour.length);
  ends.forEach(([a, b], link) => {
    if (a < 0 || b < 0 || a === b) return;
    for (const [from, to] of [[a, b] as const, [b, a] as const]) {
      neighbour[fill[from]!] = to;
      via[fill[from]!] = link;
      fill[from]! += 1;
    }
  });
  return { hostCount, nodeIds, nodeIndex, start, neighbour, via };
}

export class PathTable {
  readonly index: TopologyIndex;
  /** Per host: positions in `uplink` and `uplinkPoint`. */
  readonly uplinkStart: Int32Array;
  readonly uplink: Int32Array;
  /** Switch the uplink leads to, as a point; -1 - host for a cable to another host. */
  readonly uplinkPoint: Int32Array;
  readonly pointCount: number;
  /** Per middle path: its links in `pool`. */
  pathStart: Int32Array = new Int32Array(1024);
  pathLength: Int32Array = new Int32Array(1024);
  /** Position in `connectionTypes`. */
  pathType: Uint8Array = new Uint8Array(1024);
  pool: Int32Array = new Int32Array(4096);

  readonly #topology: Topology;
  readonly #points: readonly number[];
  readonly #pairs: (Int32Array | undefined)[];
  readonly #distances: (Int32Array | undefined)[];
  readonly #counts: (Float64Array | undefined)[];
  #paths = 0;
  #poolUsed = 0;

  constructor(topology: Topology) {
    this.#topology = topology;
    this.index = indexTopology(topology);
    const { hostCount, start, neighbour, via } = this.index;
    const pointOf = new Map<number, number>();
    const points: number[] = [];
    this.uplinkStart = start.slice(0, hostCount + 1);
    const uplinks = this.uplinkStart[hostCount]!;
    this.uplink = via.slice(0, uplinks);
    this.uplinkPoint = new Int32Array(uplinks);
    for (let at = 0; at < uplinks; at += 1) {
      const node = neighbour[at]!;
      if (node < hostCount) {
        this.uplinkPoint[at] = -1 - node;
        continue;
      }
      let point = pointOf.get(node);
      if (point === undefined) {
        point = points.length;
        points.push(node);
        pointOf.set(node, point);
      }
      this.uplinkPoint[at] = point;
    }
    this.#points = points;
    this.pointCount = points.length;
    this.#pairs = Array.from({ length: points.length }, () => undefined);
    this.#distances = Array.from({ length: points.length }, () => undefined);
    this.#counts = Array.from({ length: points.length }, () => undefined);
    this.#addPath([], connectionTypes.indexOf("direct"));
  }

  /** Number of middle paths between two points; 0 when they are not connected. */
  count(one: number, other: number): number {
    return this.#row(one, other)[2 * Math.max(one, other) + 1]!;
  }

  /** Number of the first of them; the others follow. */
  first(one: number, other: number): number {
    return this.#row(one, other)[2 * Math.max(one, other)]!;
  }

  type(path: number): ConnectionType {
    return connectionTypes[this.pathType[path]!]!;
  }

  /** Devices between two points, for laying close hosts side by side; -1 when not connected. */
  distance(from: number, to: number): number {
    return this.#distancesTo(to)[this.#points[from]! - this.index.hostCount]!;
  }

  #row(one: number, other: number): Int32Array {
    const low = Math.min(one, other);
    const high = Math.max(one, other);
    let row = this.#pairs[low];
    if (row === undefined) {
      row = new Int32Array(2 * this.pointCount).fill(-1);
      this.#pairs[low] = row;
    }
    if (row[2 * high] === -1) {
      row[2 * high] = this.#paths;
      row[2 * high + 1] = this.#enumerate(low, high);
    }
    return row;
  }

  #enumerate(from: number, to: number): number {
    if (this.#distancesTo(to)[this.#points[from]! - this.index.hostCount]! < 0) return 0;
    const total = this.#counts[to]![this.#points[from]! - this.index.hostCount]!;
    const kept = Math.min(total, pathsPerPair);
    const shift = ((from * 7919 + to * 104_729) % 1009) / 1009;
    for (let index = 0; index < kept; index += 1) {
      const { links, type } = this.#walk(from, to, Math.floor(((index + shift) * total) / kept));
      this.#addPath(links, type);
    }
    return kept;
  }

  /** The `rank`-th of all shortest paths, without listing the others. */
  #walk(from: number, to: number, rank: number): { links: number[]; type: number } {
    const { hostCount, start, neighbour, via } = this.index;
    const distances = this.#distancesTo(to);
    const counts = this.#counts[to]!;
    const links: number[] = [];
    const nodes = [this.#points[from]!];
    let left = rank;
    for (let node = nodes[0]!; node !== this.#points[to]!; node = nodes.at(-1)!) {
      const closer = distances[node - hostCount]! - 1;
      for (let at = start[node]!; at < start[node + 1]!; at += 1) {
        const next = neighbour[at]!;
        if (next < hostCount || distances[next - hostCount] !== closer) continue;
        if (left >= counts[next - hostCount]!) {
          left -= counts[next - hostCount]!;
          continue;
        }
        links.push(via[at]!);
        nodes.push(next);
        break;
      }
    }
    return { links, type: connectionTypes.indexOf(this.#classify(nodes)) };
  }

  #classify(nodes: readonly number[]): ConnectionType {
    const devices = nodes.map((node) => this.#topology.devices[node - this.index.hostCount]!);
    const sites = new Set(devices.flatMap((device) => (device.site === undefined ? [] : [device.site])));
    if (sites.size > 1 || devices.some((device) => device.kind === "router")) return "inter-router";
    return devices.length === 1 ? "intra-switch" : "inter-switch";
  }

  /** Breadth first from the destination over devices, counting the shortest paths on the way. */
  #distancesTo(to: number): Int32Array {
    const known = this.#distances[to];
    if (known !== undefined) return known;
    const { hostCount, nodeIds, start, neighbour } = this.index;
    const distances = new Int32Array(nodeIds.length - hostCount).fill(-1);
    const counts = new Float64Array(distances.length);
    const queue = [this.#points[to]!];
    distances[queue[0]! - hostCount] = 0;
    counts[queue[0]! - hostCount] = 1;
    for (let head = 0; head < queue.length; head += 1) {
      const node = queue[head]!;
      const distance = distances[node - hostCount]!;
      for (let at = start[node]!; at < start[node + 1]!; at += 1) {
        const next = neighbour[at]! - hostCount;
        if (next < 0) continue;
        if (distances[next] === -1) {
          distances[next] = distance + 1;
          queue.push(next + hostCount);
        }
        if (distances[next] === distance + 1) counts[next]! += counts[node - hostCount]!;
      }
    }
    this.#distances[to] = distances;
    this.#counts[to] = counts;
    return distances;
  }

  #addPath(links: readonly number[], type: number): void {
    if (this.#paths === this.pathStart.length) {
      this.pathStart = grown(this.pathStart);
      this.pathLength = grown(this.pathLength);
      const types = new Uint8Array(this.pathType.length * 2);
      types.set(this.pathType);
      this.pathType = types;
    }
    while (this.#poolUsed + links.length > this.pool.length) this.pool = grown(this.pool);
    this.pathStart[this.#paths] = this.#poolUsed;
    this.pathLength[this.#paths] = links.length;
    this.pathType[this.#paths] = type;
    this.pool.set(links, this.#poolUsed);
    this.#poolUsed += links.length;
    this.#paths += 1;
  }
}

const tables = new WeakMap<Topology, PathTable>();

/** One table for each topology, as long as that is kept: what was found for one question serves the next. */
export function pathTableOf(topology: Topology): PathTable {
  const known = tables.get(topology);
  if (known !== undefined) return known;
  const table = new PathTable(topology);
  tables.set(topology, table);
  return table;
}

function grown(array: Int32Array): Int32Array {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
