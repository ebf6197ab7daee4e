import { freelyMoved } from "#planner/anneal.ts";
import type { Random } from "#base/runtime.ts";
import type { Snapshot, ShouldStop } from "#planner/anneal.ts";
import type { Compiled } from "#planner/compile.ts";
import type { Locality } from "#planner/greedy.ts";
import type { MapperState } from "#planner/state.ts";

/**
 * Cures the last broken promises. Annealing leaves a placement with one or two things a few percent over: a host's
 * uplink, a unit too large for its host. Proposals made anywhere rarely meet them, and each single move there makes
 * something else worse. So this search looks only at what is broken:
 *
 *   pick something broken ─► who touches it ─► where else, or with whom to change places ─► the best of these,
 *        ▲                                                                                   even if it is worse
 *        └── what is still broken weighs more; who has just moved stays for a while ◄────────────────┘
 *
 * Taking the best even if it is worse lets one move push the excess on to another host, where the next step meets
 * it: a chain of ejections as long as it takes. Growing weights (breakout) keep it from going round in circles, as
 * does the rest of those who moved (tabu).
 */
const candidatesMost = 6;
const partnersTried = 4;
const besideTried = 3;
const roomyTried = 4;
const roomyAttempts = 12;
const swapsTried = 4;
const reroutesTried = 6;
const groupMost = 8;
const scannedOnHost = 64;
/** Steps for which a unit that moved stays, with as many again at random. */
const restSteps = 6;
/** Of a violation of one average demand, in hops of an average link, before weights grow. */
const price = 15;

export class Repairer {
  readonly #state: MapperState;
  readonly #compiled: Compiled;
  readonly #random: Random;
  readonly #locality: Locality;
  readonly #movable: Uint8Array;
  readonly #units: Int32Array;
  readonly #octaves: number;
  /** Step up to which each unit stays. */
  readonly #rests: Int32Array;
  readonly #hosts: number[] = [];
  readonly #seen: Int32Array;
  /** Something runs already, and moving it has a price that a broken promise must outweigh. */
  readonly #runs: boolean;
  #mark = 0;
  #step = 0;
  #candidates: number[] = [];
  #crossing: number[] = [];
  readonly #group: number[] = [];
  /** Units and where they go, in turn; or a link to be routed anew. */
  #trial: number[] = [];
  #link = -1;
  #best: number[] = [];
  #bestLink = -1;
  #lowest = Infinity;

  constructor(state: MapperState, random: Random, locality: Locality, units: readonly number[]) {
    this.#state = state;
    this.#compiled = state.compiled;
    this.#random = random;
    this.#locality = locality;
    this.#units = Int32Array.from(units);
    this.#movable = new Uint8Array(state.compiled.unitCount);
    for (const unit of units) this.#movable[unit] = 1;
    this.#runs = units.some((unit) => state.compiled.unitHome[unit]! >= 0);
    this.#rests = new Int32Array(state.compiled.unitCount);
    this.#seen = new Int32Array(state.compiled.hostCount);
    this.#octaves = Math.max(1, Math.log2(Math.max(2, state.compiled.hostCount)));
  }

  /** At most so many steps from the state as it is; ends when every promise is kept. */
  run(steps: number, best: Snapshot, shouldStop: ShouldStop): void {
    const state = this.#state;
    state.penalty = price + (this.#runs ? 4 * state.moveWeight : 0);
    for (let left = steps; left > 0 && state.violation > 0; left -= 1) {
      if (left % 16 === 0 && shouldStop()) break;
      this.#step += 1;
      this.#chooseBroken();
      this.#lowest = Infinity;
      this.#best.length = 0;
      this.#bestLink = -1;
      for (const unit of this.#candidates) this.#tryUnit(unit);
      for (const link of this.#crossing) this.#tryReroute(link);
      this.#take();
      state.weigh();
      best.offer(state);
    }
    state.forgetWeights();
  }

  /** Draws one of all that is broken, and who touches it. */
  #chooseBroken(): void {
    const state = this.#state;
    const { links, linkFrom, linkTo } = this.#compiled;
    let seen = 0;
    let host = -1;
    let physical = -1;
    let link = -1;
    let ruled = -1;
    const drawn = (): boolean => {
      seen += 1;
      if (this.#random.integer(seen) !== 0) return false;
      host = physical = link = ruled = -1;
      return true;
    };
    for (let at = 0; at < state.cpuFree.length; at += 1) {
      if (state.cpuFree[at]! >= 0 && state.memoryFree[at]! >= 0) continue;
      if (state.excessCpu(at) + state.excessMemory(at) > 0 && drawn()) host = at;
    }
    for (let at = 0; at < state.linkFree.length; at += 1) {
      if (state.linkFree[at]! < 0 && state.excessOfLink(at) > 0 && drawn()) physical = at;
    }
    if (state.brokenLatency > 0 || state.unreachable > 0) {
      for (let at = 0; at < links.length; at += 1) {
        if ((state.isTooFar(at) || state.isUnreachable(at)) && drawn()) link = at;
      }
    }
    if (state.brokenRules > 0) {
      for (const unit of this.#units)
        if (state.hostOf[unit]! >= 0 && state.breaksRule(unit) && drawn()) ruled = unit;
    }
    this.#candidates.length = 0;
    this.#crossing.length = 0;
    if (host >= 0)
      for (let at = state.firstOn[host]!; at >= 0; at = state.nextOn[at]!) this.#candidates.push(at);
    if (ruled >= 0) this.#candidates.push(ruled);
    if (link >= 0) this.#candidates.push(linkFrom[link]!, linkTo[link]!);
    if (physical >= 0) {
      for (let at = 0; at < links.length; at += 1) {
        if (this.#compiled.bandwidth[at] === 0 || !state.crosses(at, physical)) continue;
        this.#crossing.push(at);
        this.#candidates.push(linkFrom[at]!, linkTo[at]!);
      }
    }
    this.#thin();
  }

  /** A few candidates, those that rest last; hubs as rarely as they cost more. */
  #thin(): void {
    const able = [...new Set(this.#candidates)].filter(
      (unit) => this.#movable[unit] === 1 && !this.#isHeld(unit),
    );
    const awake = able.filter((unit) => this.#rests[unit]! < this.#step);
    this.#candidates = this.#draw(awake.length > 0 ? awake : able, candidatesMost);
    this.#crossing = this.#draw(this.#crossing, reroutesTried);
  }

  #draw(from: number[], most: number): number[] {
    for (let at = 0; at < Math.min(most, from.length); at += 1) {
      const other = at + this.#random.integer(from.length - at);
      const one = from[at]!;
      from[at] = from[other]!;
      from[other] = one;
    }
    return from.slice(0, most);
  }

  #isHeld(unit: number): boolean {
    const { adjacentStart } = this.#compiled;
    const degree = adjacentStart[unit + 1]! - adjacentStart[unit]!;
    return degree > freelyMoved && this.#random.next() * degree > freelyMoved;
  }

  #tryUnit(unit: number): void {
    this.#listHosts(unit);
    const grown = this.#growGroup(unit);
    for (const host of this.#hosts) {
      this.#begin();
      this.#shift(unit, host);
      this.#weigh();
      this.#trySwaps(unit, host);
      if (grown > 1) this.#tryGroup(2 + this.#random.integer(grown - 1), host);
    }
  }

  #trySwaps(unit: number, host: number): void {
    const state = this.#state;
    const { choices, unitChoice } = this.#compiled;
    const from = state.hostOf[unit]!;
    if (from < 0) return;
    const others: number[] = [];
    let scanned = 0;
    for (
      let other = state.firstOn[host]!;
      other >= 0 && scanned < scannedOnHost;
      other = state.nextOn[other]!
    ) {
      scanned += 1;
      if (this.#movable[other] !== 1 || this.#rests[other]! >= this.#step || this.#isHeld(other)) continue;
      if (choices[unitChoice[other]!]!.mask[from] === 1) others.push(other);
    }
    for (const other of this.#draw(others, swapsTried)) {
      this.#begin();
      this.#shift(other, from);
      this.#shift(unit, host);
      this.#weigh();
    }
  }

  #tryReroute(link: number): void {
    this.#begin();
    this.#state.lift(link);
    this.#link = link;
    this.#weigh();
  }

  /** The unit, then again and again whoever on its host talks most to the group. Returns how many they are. */
  #growGroup(unit: number): number {
    const { adjacentStart, adjacent, linkFrom, linkTo, bandwidth } = this.#compiled;
    const { hostOf } = this.#state;
    const pull = new Map<number, number>();
    this.#group.length = 0;
    for (let next = unit; next >= 0 && this.#group.length < groupMost;) {
      this.#group.push(next);
      pull.delete(next);
      for (let at = adjacentStart[next]!; at < adjacentStart[next + 1]!; at += 1) {
        const link = adjacent[at]!;
        const other = linkFrom[link] === next ? linkTo[link]! : linkFrom[link]!;
        if (hostOf[other] !== hostOf[unit] || this.#movable[other] !== 1 || this.#group.includes(other))
          continue;
        pull.set(other, (pull.get(other) ?? 0) + bandwidth[link]! + 1);
      }
      next = -1;
      for (const [other, by] of pull) if (next < 0 || by > pull.get(next)!) next = other;
    }
    return this.#group.length;
  }

  /** The first of the group go together; who is in their way makes room. */
  #tryGroup(count: number, host: number): void {
    const state = this.#state;
    const { choices, unitChoice } = this.#compiled;
    const from = state.hostOf[this.#group[0]!]!;
    this.#begin();
    for (const unit of this.#group.slice(0, count)) {
      if (choices[unitChoice[unit]!]!.mask[host] === 1) this.#shift(unit, host);
    }
    for (
      let pushed = 0;
      pushed < groupMost && (state.cpuFree[host]! < 0 || state.memoryFree[host]! < 0);
      pushed += 1
    ) {
      const other = this.#inTheWay(host);
      if (other < 0) break;
      const refuge = this.#refuge(other, from);
      if (refuge < 0) break;
      this.#shift(other, refuge);
    }
    this.#weigh();
  }

  /** Of three on the host that are not of the group, the one least tied to it; -1: nobody. */
  #inTheWay(host: number): number {
    const { hostOf, firstOn, nextOn } = this.#state;
    const { adjacentStart, adjacent, linkFrom, linkTo, bandwidth } = this.#compiled;
    const others: number[] = [];
    for (let at = firstOn[host]!; at >= 0 && others.length < scannedOnHost; at = nextOn[at]!) {
      if (this.#movable[at] === 1 && !this.#group.includes(at) && !this.#isHeld(at)) others.push(at);
    }
    let best = -1;
    let loosest = Infinity;
    for (const other of this.#draw(others, 3)) {
      let tie = 0;
      for (let at = adjacentStart[other]!; at < adjacentStart[other + 1]!; at += 1) {
        const link = adjacent[at]!;
        if (hostOf[linkFrom[link]!] === hostOf[linkTo[link]!]) tie += bandwidth[link]!;
      }
      if (tie >= loosest) continue;
      loosest = tie;
      best = other;
    }
    return best;
  }

  #refuge(unit: number, from: number): number {
    const state = this.#state;
    const { choices, unitChoice } = this.#compiled;
    const { list, mask } = choices[unitChoice[unit]!]!;
    if (from >= 0 && mask[from] === 1 && !state.lacksRoom(unit, from)) return from;
    for (let attempt = 0; attempt < roomyAttempts; attempt += 1) {
      const host = list[this.#random.integer(list.length)]!;
      if (!state.lacksRoom(unit, host)) return host;
    }
    return -1;
  }

  /** Hosts worth trying: partners', those beside them, some with room. */
  #listHosts(unit: number): void {
    const state = this.#state;
    const { adjacentStart, adjacent, linkFrom, linkTo, choices, unitChoice } = this.#compiled;
    const { list, mask } = choices[unitChoice[unit]!]!;
    this.#hosts.length = 0;
    this.#mark += 1;
    const from = state.hostOf[unit]!;
    if (from >= 0) this.#seen[from] = this.#mark;
    const add = (host: number | undefined): boolean => {
      if (host === undefined || host < 0 || mask[host] !== 1 || this.#seen[host] === this.#mark) return false;
      this.#seen[host] = this.#mark;
      this.#hosts.push(host);
      return true;
    };
    const start = adjacentStart[unit]!;
    const degree = adjacentStart[unit + 1]! - start;
    for (let attempt = 0; attempt < Math.min(partnersTried, 2 * degree); attempt += 1) {
      const link = adjacent[start + this.#random.integer(degree)]!;
      const host = state.hostOf[linkFrom[link] === unit ? linkTo[link]! : linkFrom[link]!]!;
      add(host);
      if (host >= 0 && attempt < besideTried) add(this.#beside(host));
    }
    if (from >= 0) add(this.#beside(from));
    for (let attempt = 0, roomy = 0; attempt < roomyAttempts && roomy < roomyTried; attempt += 1) {
      const host = list[this.#random.integer(list.length)]!;
      if (!state.lacksRoom(unit, host) && add(host)) roomy += 1;
    }
    add(list[this.#random.integer(list.length)]);
  }

  #beside(host: number): number | undefined {
    const reach = 2 ** (this.#random.next() * this.#octaves);
    const offset = Math.ceil(this.#random.next() * reach) * (this.#random.next() < 0.5 ? -1 : 1);
    return this.#locality.hostAt[this.#locality.positionOf[host]! + offset];
  }

  #begin(): void {
    this.#state.begin();
    this.#trial.length = 0;
    this.#link = -1;
  }

  #shift(unit: number, host: number): void {
    this.#state.move(unit, host);
    this.#trial.push(unit, host);
  }

  /** Ends a trial; it is kept in mind if it is the best of this step. */
  #weigh(): void {
    const state = this.#state;
    state.route();
    const cost = state.weighedCost;
    state.undo();
    if (cost >= this.#lowest) return;
    this.#lowest = cost;
    this.#bestLink = this.#link;
    [this.#best, this.#trial] = [this.#trial, this.#best];
  }

  #take(): void {
    const state = this.#state;
    state.begin();
    if (this.#bestLink >= 0) state.lift(this.#bestLink);
    for (let at = 0; at < this.#best.length; at += 2) {
      state.move(this.#best[at]!, this.#best[at + 1]!);
      this.#rests[this.#best[at]!] = this.#step + restSteps + this.#random.integer(restSteps);
    }
    state.route();
  }
}
