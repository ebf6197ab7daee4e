import type { SiteChoice } from "#planner/coarse.ts";
import type { Compiled } from "#planner/compile.ts";
import type { PathTable } from "#planner/path-table.ts";
import type { MapperState } from "#planner/state.ts";

/**
 * A first placement: units in the order in which they talk most to those already placed (a maximum spanning
 * forest by bandwidth), each on the host where it costs least. Hosts looked at: those of its neighbours, those
 * beside them in the locality order, and a stride over all others.
 */
export function placeGreedily(
  state: MapperState,
  units: readonly number[],
  locality: Locality,
  sites?: SiteChoice,
): void {
  const { compiled } = state;
  const attraction = new Float64Array(compiled.unitCount).fill(-1);
  const size = (unit: number): number =>
    compiled.unitCpu[unit]! / compiled.meanCpu + compiled.unitMemory[unit]! / compiled.meanMemory;
  for (const unit of units) {
    const degree = compiled.adjacentStart[unit + 1]! - compiled.adjacentStart[unit]!;
    attraction[unit] = pull(state, unit) + 1e-6 * (size(unit) + degree);
  }
  const waiting = new Set(units);
  const queue = new MaxHeap();
  for (const unit of units) queue.push(attraction[unit]!, unit);
  for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
    if (!waiting.has(top.item) || top.key !== attraction[top.item]) continue;
    const unit = top.item;
    waiting.delete(unit);
    const host = cheapestHost(state, unit, locality, sites);
    if (host < 0) continue;
    state.begin();
    state.move(unit, host);
    state.route();
    for (let at = compiled.adjacentStart[unit]!; at < compiled.adjacentStart[unit + 1]!; at += 1) {
      const link = compiled.adjacent[at]!;
      const other = compiled.linkFrom[link] === unit ? compiled.linkTo[link]! : compiled.linkFrom[link]!;
      if (!waiting.has(other)) continue;
      attraction[other]! += compiled.bandwidth[link]! / compiled.meanBandwidth + 0.01;
      queue.push(attraction[other]!, other);
    }
  }
}

/** Hosts side by side when few switches lie between them. */
export type Locality = { readonly hostAt: Int32Array; readonly positionOf: Int32Array };

const localities = new WeakMap<PathTable, Locality>();

export function localityOf({ paths }: Compiled): Locality {
  const known = localities.get(paths);
  if (known !== undefined) return known;
  const found = findLocality(paths);
  localities.set(paths, found);
  return found;
}

function findLocality(paths: PathTable): Locality {
  const { hostCount } = paths.index;
  const rank = new Float64Array(paths.pointCount).fill(-1);
  let next = 0;
  for (let start = 0; start < paths.pointCount; start += 1) {
    for (let point: number = start; point >= 0 && rank[point] === -1;) {
      rank[point] = next;
      next += 1;
      point = nearestUnranked(paths, point, rank);
    }
  }
  const pointOf = Int32Array.from({ length: hostCount }, (_, host) => {
    for (let at = paths.uplinkStart[host]!; at < paths.uplinkStart[host + 1]!; at += 1) {
      if (paths.uplinkPoint[at]! >= 0) return rank[paths.uplinkPoint[at]!]!;
    }
    return paths.pointCount;
  });
  const hostAt = Int32Array.from({ length: hostCount }, (_, host) => host).sort(
    (a, b) => pointOf[a]! - pointOf[b]! || a - b,
  );
  const positionOf = new Int32Array(hostCount);
  hostAt.forEach((host, position) => (positionOf[host] = position));
  return { hostAt, positionOf };
}

function nearestUnranked(paths: PathTable, from: number, rank: Float64Array): number {
  let best = -1;
  let closest = Infinity;
  for (let point = 0; point < rank.length; point += 1) {
    if (rank[point] !== -1) continue;
    const distance = paths.distance(point, from);
    if (distance < 0 || distance >= closest) continue;
    closest = distance;
    best = point;
  }
  return best;
}

function pull(state: MapperState, unit: number): number {
  const { compiled } = state;
  let sum = 0;
  for (let at = compiled.adjacentStart[unit]!; at < compiled.adjacentStart[unit + 1]!; at += 1) {
    const link = compiled.adjacent[at]!;
    const other = compiled.linkFrom[link] === unit ? compiled.linkTo[link]! : compiled.linkFrom[link]!;
    if (state.hostOf[other]! >= 0) sum += compiled.bandwidth[link]! / compiled.meanBandwidth + 0.01;
  }
  return sum;
}

const beside = 24;
const strided = 48;
const centresMost = 8;

function cheapestHost(state: MapperState, unit: number, locality: Locality, sites?: SiteChoice): number {
  const { compiled } = state;
  const { list, mask } = compiled.choices[compiled.unitChoice[unit]!]!;
  if (list.length === 0) return -1;
  const site = sites?.siteOfUnit[unit] ?? -1;
  const everywhere = sites?.hostsOfSite[site] ?? list;
  let best = -1;
  let lowest = Infinity;
  const tried = new Set<number>();
  const attempt = (host: number | undefined): void => {
    if (host === undefined || mask[host] !== 1 || tried.has(host)) return;
    if (site >= 0 && compiled.siteOfHost[host] !== site) return;
    tried.add(host);
    state.begin();
    state.move(unit, host);
    state.route();
    const cost = state.cost;
    state.undo();
    if (cost >= lowest) return;
    lowest = cost;
    best = host;
  };
  let centres = 0;
  for (let at = compiled.adjacentStart[unit]!; at < compiled.adjacentStart[unit + 1]!; at += 1) {
    const link = compiled.adjacent[at]!;
    const other = compiled.linkFrom[link] === unit ? compiled.linkTo[link]! : compiled.linkFrom[link]!;
    const host = state.hostOf[other]!;
    if (host < 0) continue;
    centres += 1;
    if (centres > centresMost) break;
    const centre = locality.positionOf[host]!;
    for (let step = 0; step <= beside / 2; step += 1) {
      attempt(locality.hostAt[centre + step]);
      attempt(locality.hostAt[centre - step]);
    }
  }
  const stride = Math.max(1, Math.floor(everywhere.length / strided));
  for (let at = unit % stride; at < everywhere.length; at += stride) attempt(everywhere[at]);
  // A stride can miss the few hosts that are allowed.
  if (best < 0) for (const host of list) attempt(host);
  return best;
}

/** A binary heap of (key, item); the largest key first, then the smallest item. */
class MaxHeap {
  readonly #entries: { key: number; item: number }[] = [];

  push(key: number, item: number): void {
    const entries = this.#entries;
    entries.push({ key, item });
    for (let at = entries.length - 1; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!before(entries[at]!, entries[parent]!)) break;
      [entries[at], entries[parent]] = [entries[parent]!, entries[at]!];
      at = parent;
    }
  }

  pop(): { key: number; item: number } | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined || entries.length === 0) return top;
    entries[0] = last;
    for (let at = 0; ;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child += 1;
      if (!before(entries[child]!, entries[at]!)) break;
      [entries[at], entries[child]] = [entries[child]!, entries[at]!];
      at = child;
    }
    return top;
  }
}

function before(one: { key: number; item: number }, other: { key: number; item: number }): boolean {
  return one.key > other.key || (one.key === other.key && one.item < other.item);
}
