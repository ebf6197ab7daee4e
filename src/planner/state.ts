import type { Random } from "#base/runtime.ts";
import { connectionTypes } from "#model/topology.ts";
import type { Compiled } from "#planner/compile.ts";
import { HostLoads } from "#planner/host-loads.ts";
import { directPath } from "#planner/path-table.ts";
import type { PathTable } from "#planner/path-table.ts";

/** Weight of distance for a link without promised bandwidth, in hops of an average link. */
export const bestEffortWeight = 0.05;
export const latencyWeight = 0.25;
const balanceWeight = 0.05;
/** Of an empty host taken into use, in hops of an average link. */
const packWeight = 1;

/** What an exceeded capacity counts however small the excess, in average demands. */
const crowdedWeight = 0.25;

const interRouter = connectionTypes.indexOf("inter-router");
const trivial = -1;
const unconnected = -2;

/**
 * A placement in the making and what it costs. Every change goes through `move` between `begin` and `undo`;
 * nothing here allocates after construction. Physical links carry the same load both ways, as every promise holds
 * in both directions over one path, so one number per link admits both.
 */
export class MapperState extends HostLoads {
  readonly linkFree: Float64Array;
  /** Per link of the ensembles: its two uplinks (-1: none) and middle path (or trivial, unconnected). */
  readonly uplinkFrom: Int32Array;
  readonly uplinkTo: Int32Array;
  readonly middle: Int32Array;

  /** Exact sums of what exceeds capacity, and counts. */
  overLink = 0;
  /** What `weigh` has made each physical link's excess count beyond once, and the sum so weighed. */
  readonly linkExtra: Float64Array;
  extraLink = 0;
  brokenLatency = 0;
  unreachable = 0;
  /** Of broken rules and unreachable links, those among the pinned alone: no search mends them, so none is set on them. */
  unmendable = 0;
  bandwidthHops = 0;
  hops = 0;
  lowLatencyHops = 0;
  /** Price of a violation against distance; the search raises it. */
  penalty = 10;
  moveWeight: number;

  readonly #paths: PathTable;
  readonly #random: Random;
  readonly #journalLink: Int32Array;
  readonly #journalFrom: Int32Array;
  readonly #journalTo: Int32Array;
  readonly #journalMiddle: Int32Array;
  readonly #journalUnit: Int32Array;
  readonly #journalHost: Int32Array;
  /** Per appliance, what its links take of its host's uplink. */
  readonly #crossing: Float64Array;
  #links = 0;
  #units = 0;
  #chosenFrom = -1;
  #chosenTo = -1;
  #chosenMiddle = 0;
  #chosenCost = 0;

  constructor(compiled: Compiled, random: Random, moveWeight: number) {
    super(compiled);
    const { unitCount, links } = compiled;
    const journal = compiled.adjacent.length + 1;
    this.moveWeight = moveWeight;
    this.#random = random;
    this.#paths = compiled.paths;
    this.linkFree = compiled.linkFree.slice();
    this.linkExtra = new Float64Array(compiled.linkFree.length);
    this.uplinkFrom = new Int32Array(links.length).fill(-1);
    this.uplinkTo = new Int32Array(links.length).fill(-1);
    this.middle = new Int32Array(links.length).fill(unconnected);
    this.#crossing = new Float64Array(compiled.traffic.isNone ? 0 : compiled.appliances.length);
    this.#journalLink = new Int32Array(journal);
    this.#journalFrom = new Int32Array(journal);
    this.#journalTo = new Int32Array(journal);
    this.#journalMiddle = new Int32Array(journal);
    this.#journalUnit = new Int32Array(2 * unitCount + 2);
    this.#journalHost = new Int32Array(2 * unitCount + 2);
  }

  /** How far promises are broken, in average demands; 0: all are kept. */
  get violation(): number {
    const { meanCpu, meanMemory, meanBandwidth } = this.compiled;
    return (
      this.overCpu / meanCpu +
      this.overMemory / meanMemory +
      this.overLink / meanBandwidth +
      crowdedWeight * this.crowded +
      (this.brokenRules + this.brokenLatency + this.unreachable - this.unmendable)
    );
  }

  /** With the pinned placed and nobody else. */
  acceptWhatIsBroken(): void {
    this.unmendable = this.rulesBrokenByNow() + this.unreachable;
  }

  /** Everything but violations. */
  get preference(): number {
    return (
      this.bandwidthHops / this.compiled.meanBandwidth +
      bestEffortWeight * this.hops +
      latencyWeight * this.lowLatencyHops +
      this.balanceCost +
      this.moveWeight * this.moved
    );
  }

  get balanceCost(): number {
    return this.compiled.packs ? packWeight * this.packing : balanceWeight * this.balance;
  }

  get cost(): number {
    return this.preference + this.penalty * this.violation;
  }

  /** Cost with what stayed broken counting more and more. */
  get weighedCost(): number {
    const { meanCpu, meanMemory, meanBandwidth } = this.compiled;
    const extra = this.extraCpu / meanCpu + this.extraMemory / meanMemory + this.extraLink / meanBandwidth;
    return this.cost + this.penalty * extra;
  }

  /** What the ensembles take of a physical link beyond its capacity. */
  excessOfLink(physical: number): number {
    return Math.max(0, -this.linkFree[physical]!) - Math.max(0, -this.compiled.linkFree[physical]!);
  }

  /** Makes every excess there is now count once more. */
  weigh(): void {
    for (let physical = 0; physical < this.linkFree.length; physical += 1) {
      if (this.linkFree[physical]! >= 0) continue;
      const excess = this.excessOfLink(physical);
      if (excess <= 0) continue;
      this.linkExtra[physical]! += 1;
      this.extraLink += excess;
    }
    this.weighHosts();
  }

  /** Every excess counts once again. */
  forgetWeights(): void {
    this.linkExtra.fill(0);
    this.extraLink = 0;
    this.forgetHostWeights();
  }

  begin(): void {
    this.#links = 0;
    this.#units = 0;
  }

  /** Takes the unit (and its links) off its host and puts it on another; -1 is nowhere. Links follow at `route`. */
  move(unit: number, host: number): void {
    const { adjacentStart, adjacent } = this.compiled;
    for (let at = adjacentStart[unit]!; at < adjacentStart[unit + 1]!; at += 1) this.#lift(adjacent[at]!);
    this.#journalUnit[this.#units] = unit;
    this.#journalHost[this.#units] = this.hostOf[unit]!;
    this.#units += 1;
    this.#settle(unit, host);
  }

  /** Takes a link off its path, to be routed anew. */
  lift(link: number): void {
    this.#lift(link);
  }

  /** Finds paths for all links lifted since `begin`, heaviest first not being worth the sorting. */
  route(): void {
    for (let at = 0; at < this.#links; at += 1) this.#connect(this.#journalLink[at]!);
  }

  /** Back to what was at `begin`. */
  undo(): void {
    for (let at = 0; at < this.#links; at += 1) this.#remove(this.#journalLink[at]!);
    for (let at = this.#units - 1; at >= 0; at -= 1) {
      this.#settle(this.#journalUnit[at]!, this.#journalHost[at]!);
    }
    for (let at = 0; at < this.#links; at += 1) {
      const link = this.#journalLink[at]!;
      if (this.#journalMiddle[at] === unconnected) continue;
      this.#add(link, this.#journalFrom[at]!, this.#journalTo[at]!, this.#journalMiddle[at]!);
    }
    this.begin();
  }

  /** Puts a link on a path known from another time with the same hosts. */
  restore(link: number, from: number, to: number, middle: number): void {
    this.#remove(link);
    if (middle !== unconnected) this.#add(link, from, to, middle);
  }

  /** Does the link's path lead over the physical link? */
  crosses(link: number, physical: number): boolean {
    const middle = this.middle[link]!;
    if (middle < 0) return false;
    if (this.uplinkFrom[link] === physical || this.uplinkTo[link] === physical) return true;
    const start = this.#paths.pathStart[middle]!;
    const end = start + this.#paths.pathLength[middle]!;
    for (let at = start; at < end; at += 1) if (this.#paths.pool[at] === physical) return true;
    return false;
  }

  /** Some physical link of its path carries more than it can. */
  isCrowded(link: number): boolean {
    const middle = this.middle[link]!;
    if (middle < 0) return false;
    if (this.linkFree[this.uplinkFrom[link]!]! < 0) return true;
    if (this.uplinkTo[link]! >= 0 && this.linkFree[this.uplinkTo[link]!]! < 0) return true;
    const start = this.#paths.pathStart[middle]!;
    const end = start + this.#paths.pathLength[middle]!;
    for (let at = start; at < end; at += 1) if (this.linkFree[this.#paths.pool[at]!]! < 0) return true;
    return false;
  }

  isUnreachable(link: number): boolean {
    return this.middle[link] === unreachablePath;
  }

  isTooFar(link: number): boolean {
    const middle = this.middle[link]!;
    return (
      middle >= 0 && this.compiled.lowLatency[link] === 1 && this.#paths.pathType[middle] === interRouter
    );
  }

  /** With what its appliances are promised for all their traffic. None of its links is on a path now. */
  #settle(unit: number, host: number): void {
    const { traffic } = this.compiled;
    const before = this.hostOf[unit]!;
    this.relocate(unit, host);
    for (let at = traffic.start[unit]!; at < traffic.start[unit + 1]!; at += 1) {
      const demand = traffic.demand[traffic.members[at]!]!;
      if (before >= 0 && traffic.uplink[before]! >= 0) this.#give(traffic.uplink[before]!, demand);
      if (host >= 0 && traffic.uplink[host]! >= 0) this.#take(traffic.uplink[host]!, demand);
    }
  }

  /**
   * What a link adds to (with a negative rate: takes from) the uplink of one of its ends. It counts within what the
   * appliance there is promised for all its traffic.
   */
  #ofUplink(link: number, physical: number, rate: number, isFrom: boolean): number {
    if (this.#crossing.length === 0) return Math.abs(rate);
    const { traffic, linkFrom, linkTo } = this.compiled;
    const member = (isFrom ? traffic.linkFrom : traffic.linkTo)[link]!;
    const host = this.hostOf[(isFrom ? linkFrom : linkTo)[link]!]!;
    const demand = traffic.demand[member]!;
    if (demand === 0 || traffic.uplink[host] !== physical) return Math.abs(rate);
    const before = this.#crossing[member]!;
    this.#crossing[member] = before + rate;
    return Math.abs(Math.max(demand, before + rate) - Math.max(demand, before));
  }

  #lift(link: number): void {
    const { linkFrom, linkTo } = this.compiled;
    if (this.middle[link] === unconnected) {
      // Still to be routed, or an end without a host; noted once so that `route` finds it.
      const other = this.hostOf[linkFrom[link]!]! < 0 || this.hostOf[linkTo[link]!]! < 0;
      if (!other) return;
    }
    this.#journalLink[this.#links] = link;
    this.#journalFrom[this.#links] = this.uplinkFrom[link]!;
    this.#journalTo[this.#links] = this.uplinkTo[link]!;
    this.#journalMiddle[this.#links] = this.middle[link]!;
    this.#links += 1;
    this.#remove(link);
  }

  #connect(link: number): void {
    if (this.middle[link] !== unconnected) return;
    const from = this.hostOf[this.compiled.linkFrom[link]!]!;
    const to = this.hostOf[this.compiled.linkTo[link]!]!;
    if (from < 0 || to < 0) return;
    if (from === to) {
      this.middle[link] = trivial;
      return;
    }
    this.#choose(link, from, to);
    this.#add(link, this.#chosenFrom, this.#chosenTo, this.#chosenMiddle);
  }

  /** The cheapest of the candidate paths: first by what it would overload, then by length, then by chance. */
  #choose(link: number, from: number, to: number): void {
    const paths = this.#paths;
    const { uplinkStart, uplink, uplinkPoint } = paths;
    this.#chosenCost = Infinity;
    this.#chosenMiddle = unconnected;
    this.#chosenFrom = -1;
    this.#chosenTo = -1;
    for (let one = uplinkStart[from]!; one < uplinkStart[from + 1]!; one += 1) {
      const point = uplinkPoint[one]!;
      if (point < 0) {
        if (-1 - point === to) this.#consider(link, uplink[one]!, -1, directPath);
        continue;
      }
      for (let other = uplinkStart[to]!; other < uplinkStart[to + 1]!; other += 1) {
        const end = uplinkPoint[other]!;
        if (end < 0) continue;
        const count = paths.count(point, end);
        if (count === 0) continue;
        const first = paths.first(point, end);
        // Candidates of one pair are equally long: the first that overloads nothing is as good as any.
        const shift = count === 1 ? 0 : this.#random.integer(count);
        for (let at = 0; at < count; at += 1) {
          const path = first + ((at + shift) % count);
          if (this.#consider(link, uplink[one]!, uplink[other]!, path)) break;
        }
      }
    }
  }

  /** Takes the path if it is the best so far; true if nothing between the uplinks is overloaded. */
  #consider(link: number, from: number, to: number, middle: number): boolean {
    const paths = this.#paths;
    const rate = this.#rate(link, middle);
    const start = paths.pathStart[middle]!;
    const end = start + paths.pathLength[middle]!;
    let over = this.#weighedExcess(from, rate);
    if (to >= 0) over += this.#weighedExcess(to, rate);
    const ends = over;
    for (let at = start; at < end; at += 1) over += this.#weighedExcess(paths.pool[at]!, rate);
    const length = end - start + (to >= 0 ? 2 : 1);
    const late = this.compiled.lowLatency[link] === 1 && paths.pathType[middle] === interRouter ? 1 : 0;
    const { meanBandwidth, bandwidth } = this.compiled;
    const weight = bandwidth[link]! / meanBandwidth + bestEffortWeight;
    const cost = length * weight + this.penalty * (over / meanBandwidth + late);
    if (cost < this.#chosenCost) {
      this.#chosenCost = cost;
      this.#chosenFrom = from;
      this.#chosenTo = to;
      this.#chosenMiddle = middle;
    }
    return over === ends;
  }

  #weighedExcess(physical: number, rate: number): number {
    const free = this.linkFree[physical]!;
    return free >= rate ? 0 : exceeded(free, rate) * (1 + this.linkExtra[physical]!);
  }

  #rate(link: number, middle: number): number {
    return this.#paths.pathType[middle] === interRouter
      ? this.compiled.tunnelRate[link]!
      : this.compiled.localRate[link]!;
  }

  #add(link: number, from: number, to: number, middle: number): void {
    this.uplinkFrom[link] = from;
    this.uplinkTo[link] = to;
    this.middle[link] = middle;
    if (middle === trivial) return;
    if (middle === unconnected) {
      this.unreachable += 1;
      this.middle[link] = unreachablePath;
      return;
    }
    if (middle === unreachablePath) {
      this.unreachable += 1;
      return;
    }
    this.#tally(link, 1);
    const rate = this.#rate(link, middle);
    this.#take(from, this.#ofUplink(link, from, rate, true));
    if (to >= 0) this.#take(to, this.#ofUplink(link, to, rate, false));
    const { pathStart, pathLength, pool } = this.#paths;
    const start = pathStart[middle]!;
    const end = start + pathLength[middle]!;
    for (let at = start; at < end; at += 1) this.#take(pool[at]!, rate);
  }

  #remove(link: number): void {
    const middle = this.middle[link]!;
    this.middle[link] = unconnected;
    if (middle === unconnected || middle === trivial) return;
    if (middle === unreachablePath) {
      this.unreachable -= 1;
      return;
    }
    this.middle[link] = middle;
    this.#tally(link, -1);
    this.middle[link] = unconnected;
    const rate = this.#rate(link, middle);
    const to = this.uplinkTo[link]!;
    this.#give(this.uplinkFrom[link]!, this.#ofUplink(link, this.uplinkFrom[link]!, -rate, true));
    if (to >= 0) this.#give(to, this.#ofUplink(link, to, -rate, false));
    const { pathStart, pathLength, pool } = this.#paths;
    const start = pathStart[middle]!;
    const end = start + pathLength[middle]!;
    for (let at = start; at < end; at += 1) this.#give(pool[at]!, rate);
  }

  #tally(link: number, sign: number): void {
    const middle = this.middle[link]!;
    const length = this.#paths.pathLength[middle]! + (this.uplinkTo[link]! >= 0 ? 2 : 1);
    this.bandwidthHops += sign * length * this.compiled.bandwidth[link]!;
    this.hops += sign * length;
    if (this.compiled.lowLatency[link] === 0) return;
    this.lowLatencyHops += sign * length;
    if (this.#paths.pathType[middle] === interRouter) this.brokenLatency += sign;
  }

  #take(physical: number, rate: number): void {
    const free = this.linkFree[physical]!;
    this.linkFree[physical] = free - rate;
    if (free >= rate) return;
    const excess = exceeded(free, rate);
    this.overLink += excess;
    this.extraLink += excess * this.linkExtra[physical]!;
    if (free >= 0) this.crowded += 1;
  }

  #give(physical: number, rate: number): void {
    const free = this.linkFree[physical]! + rate;
    this.linkFree[physical] = free;
    if (free >= rate) return;
    const excess = exceeded(free, rate);
    this.overLink -= excess;
    this.extraLink -= excess * this.linkExtra[physical]!;
    if (free >= 0) this.crowded -= 1;
  }
}

const unreachablePath = -3;

/** How much of `rate` does not fit into what is free. */
function exceeded(free: number, rate: number): number {
  if (free >= rate || rate === 0) return 0;
  return free > 0 ? rate - free : rate;
}
