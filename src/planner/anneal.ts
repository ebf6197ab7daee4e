import type { Random } from "#base/runtime.ts";
import type { Compiled } from "#planner/compile.ts";
import type { Locality } from "#planner/greedy.ts";
import type { MapperState } from "#planner/state.ts";

export type Schedule = {
  /** Number of proposals. */
  readonly iterations: number;
  /** In hops of an average link; falls geometrically. */
  readonly warmest: number;
  readonly coldest: number;
  /** Share of proposals that start from something violated, while anything is. */
  readonly focus: number;
  /** What a violation of one average demand may cost at most, in hops of an average link. */
  readonly penaltyMost: number;
  /** Ends as soon as every promise is kept. */
  readonly untilKept?: boolean;
};

/** Looked at between sweeps; the search ends with the best so far. */
export type ShouldStop = () => boolean;

/** A whole placement, kept aside. */
export class Snapshot {
  violation = Infinity;
  preference = Infinity;
  readonly #hostOf: Int32Array;
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  readonly #middle: Int32Array;

  constructor(compiled: Compiled) {
    this.#hostOf = new Int32Array(compiled.unitCount);
    this.#from = new Int32Array(compiled.links.length);
    this.#to = new Int32Array(compiled.links.length);
    this.#middle = new Int32Array(compiled.links.length);
  }

  /** Keeps the state's placement if it is better: fewer violations first, then preference. */
  offer(state: MapperState): void {
    const { violation, preference } = state;
    if (violation > this.violation || (violation === this.violation && preference >= this.preference)) return;
    this.violation = violation;
    this.preference = preference;
    this.#hostOf.set(state.hostOf);
    this.#from.set(state.uplinkFrom);
    this.#to.set(state.uplinkTo);
    this.#middle.set(state.middle);
  }

  restore(state: MapperState): void {
    for (let unit = 0; unit < this.#hostOf.length; unit += 1) {
      if (state.hostOf[unit] === this.#hostOf[unit]) continue;
      state.begin();
      state.move(unit, this.#hostOf[unit]!);
    }
    for (let link = 0; link < this.#middle.length; link += 1) {
      state.restore(link, this.#from[link]!, this.#to[link]!, this.#middle[link]!);
    }
  }
}

const memberLimit = 12;
const pushedMost = 4;
const gatheredMost = 8;
const refugesTried = 12;
/** Up to so many hosts a partner is drawn from all units, beyond from those on the host. */
const fewHosts = 8;
const scanned = 32;
/** Links a unit may have without being held back. */
export const freelyMoved = 24;

/** Simulated annealing with moves that respect hosts: move, swap, exchange of two hosts' contents, new path. */
export class Annealer {
  readonly #state: MapperState;
  readonly #compiled: Compiled;
  readonly #random: Random;
  readonly #locality: Locality;
  /** Units that may be moved. */
  readonly #units: Int32Array;
  readonly #movable: Uint8Array;
  readonly #here = new Int32Array(memberLimit);
  readonly #there = new Int32Array(memberLimit);
  readonly #octaves: number;
  /** May units change sites? */
  roams = true;

  constructor(state: MapperState, random: Random, locality: Locality, units: readonly number[]) {
    this.#state = state;
    this.#compiled = state.compiled;
    this.#random = random;
    this.#locality = locality;
    this.#units = Int32Array.from(units);
    this.#movable = new Uint8Array(state.compiled.unitCount);
    for (const unit of units) this.#movable[unit] = 1;
    this.#octaves = Math.max(1, Math.log2(Math.max(2, state.compiled.hostCount)));
  }

  run(schedule: Schedule, best: Snapshot, shouldStop: ShouldStop): void {
    const state = this.#state;
    if (this.#units.length === 0) return best.offer(state);
    const sweep = Math.max(64, this.#units.length);
    const sweeps = Math.max(1, Math.ceil(schedule.iterations / sweep));
    const cooling = (schedule.coldest / schedule.warmest) ** (1 / sweeps);
    let temperature = schedule.warmest;
    best.offer(state);
    for (let at = 0; at < sweeps && !shouldStop(); at += 1) {
      const violated = state.violation > 0;
      for (let step = 0; step < sweep; step += 1) {
        this.#propose(temperature, violated && this.#random.next() < schedule.focus);
      }
      best.offer(state);
      if (schedule.untilKept === true && best.violation === 0) return;
      temperature *= cooling;
      if (state.violation > 0) state.penalty = Math.min(schedule.penaltyMost, state.penalty * 1.01);
      else state.penalty = Math.max(4, state.penalty * 0.99);
    }
  }

  #propose(temperature: number, focused: boolean): void {
    const state = this.#state;
    const unit = focused ? this.#violatingUnit() : this.#units[this.#random.integer(this.#units.length)]!;
    const from = state.hostOf[unit]!;
    const host = this.#target(unit);
    const dice = this.#random.next();
    // A hub drags all its links along: it is tried as much less often as it costs more.
    if (from < 0 || this.#isSkipped(unit)) return;
    if (dice < 0.03) return this.#reroute(unit, temperature);
    if (host === from || host < 0 || this.#isAbroad(from, host)) return;
    const before = state.cost;
    state.begin();
    if (focused && dice > 0.92) {
      if (!this.#gather(unit, host)) return this.#abandon();
    } else if (dice < 0.07) {
      if (!this.#exchangeHosts(from, host)) return;
    } else if (state.lacksRoom(unit, host) || dice < 0.15) {
      const other = this.#partner(unit, host);
      if (other >= 0 && dice < 0.85) {
        state.move(other, from);
        state.move(unit, host);
      } else if (dice > 0.6) {
        if (!this.#pushIn(unit, host)) return this.#abandon();
      } else if (state.violation > 0) state.move(unit, host);
      else return;
    } else {
      state.move(unit, host);
    }
    state.route();
    this.#decide(before, temperature);
  }

  #abandon(): void {
    this.#state.route();
    this.#state.undo();
  }

  /** Moves the unit in and others out, to wherever there is room for them, until the host holds what is left. */
  #pushIn(unit: number, host: number): boolean {
    const state = this.#state;
    const origin = state.hostOf[unit]!;
    state.move(unit, host);
    return this.#makeRoom(unit, host, origin, pushedMost);
  }

  /** A unit and some it talks to come together on one host: the only cure where their links exceed any uplink. */
  #gather(unit: number, host: number): boolean {
    const { adjacentStart, adjacent, linkFrom, linkTo, choices, unitChoice } = this.#compiled;
    const state = this.#state;
    const origin = state.hostOf[unit]!;
    state.move(unit, host);
    for (let at = adjacentStart[unit]!; at < adjacentStart[unit + 1]!; at += 1) {
      const link = adjacent[at]!;
      const other = linkFrom[link] === unit ? linkTo[link]! : linkFrom[link]!;
      const from = state.hostOf[other]!;
      if (from === host || from < 0 || this.#movable[other] !== 1 || this.#isSkipped(other)) continue;
      if (this.#isAbroad(from, host) || choices[unitChoice[other]!]!.mask[host] !== 1) continue;
      if (this.#random.next() < 0.6) state.move(other, host);
    }
    return this.#makeRoom(unit, host, origin, gatheredMost);
  }

  #makeRoom(unit: number, host: number, origin: number, most: number): boolean {
    const state = this.#state;
    for (let pushed = 0; state.cpuFree[host]! < 0 || state.memoryFree[host]! < 0; pushed += 1) {
      const other = this.#anyOther(unit, host);
      if (pushed === most || other < 0) return false;
      const refuge = this.#refuge(other, origin);
      if (refuge < 0) return false;
      state.move(other, refuge);
    }
    return true;
  }

  #anyOther(unit: number, host: number): number {
    const state = this.#state;
    let found = -1;
    let seen = 0;
    for (let other = state.firstOn[host]!; other >= 0 && seen < scanned; other = state.nextOn[other]!) {
      if (other === unit || this.#movable[other] !== 1 || this.#isSkipped(other)) continue;
      seen += 1;
      if (this.#random.integer(seen) === 0) found = other;
    }
    return found;
  }

  #refuge(unit: number, origin: number): number {
    const state = this.#state;
    const { choices, unitChoice } = this.#compiled;
    if (choices[unitChoice[unit]!]!.mask[origin] === 1 && !state.lacksRoom(unit, origin)) return origin;
    for (let attempt = 0; attempt < refugesTried; attempt += 1) {
      const host = this.#target(unit);
      if (host >= 0 && host !== origin && !this.#isAbroad(origin, host) && !state.lacksRoom(unit, host))
        return host;
    }
    return -1;
  }

  #isAbroad(from: number, host: number): boolean {
    return !this.roams && this.#compiled.siteOfHost[from] !== this.#compiled.siteOfHost[host];
  }

  #isSkipped(unit: number): boolean {
    const { adjacentStart } = this.#compiled;
    const degree = adjacentStart[unit + 1]! - adjacentStart[unit]!;
    return degree > freelyMoved && this.#random.next() * degree > freelyMoved;
  }

  #decide(before: number, temperature: number): void {
    const change = this.#state.cost - before;
    if (change <= 0 || this.#random.next() < Math.exp(-change / temperature)) return;
    this.#state.undo();
  }

  #reroute(unit: number, temperature: number): void {
    const { adjacentStart, adjacent } = this.#compiled;
    const degree = adjacentStart[unit + 1]! - adjacentStart[unit]!;
    if (degree === 0) return;
    const state = this.#state;
    const before = state.cost;
    state.begin();
    state.lift(adjacent[adjacentStart[unit]! + this.#random.integer(degree)]!);
    state.route();
    this.#decide(before, temperature);
  }

  /** Mostly near a unit it talks to, the closer the likelier; sometimes anywhere. */
  #target(unit: number): number {
    const { choices, unitChoice, unitHome } = this.#compiled;
    const { list, mask } = choices[unitChoice[unit]!]!;
    if (list.length === 0) return -1;
    const dice = this.#random.next();
    if (dice < 0.1) return list[this.#random.integer(list.length)]!;
    if (dice < 0.15 && unitHome[unit]! >= 0) return mask[unitHome[unit]!] === 1 ? unitHome[unit]! : -1;
    const near = this.#neighbourHost(unit);
    if (dice < 0.45) return mask[near] === 1 ? near : -1;
    const reach = 2 ** (this.#random.next() * this.#octaves);
    const offset = Math.ceil(this.#random.next() * reach) * (this.#random.next() < 0.5 ? -1 : 1);
    const host = this.#locality.hostAt[this.#locality.positionOf[near]! + offset];
    return host !== undefined && mask[host] === 1 ? host : -1;
  }

  #neighbourHost(unit: number): number {
    const { adjacentStart, adjacent, linkFrom, linkTo, bandwidth } = this.#compiled;
    const start = adjacentStart[unit]!;
    const degree = adjacentStart[unit + 1]! - start;
    if (degree === 0) return this.#state.hostOf[unit]!;
    let link = adjacent[start + this.#random.integer(degree)]!;
    if (degree > 1) {
      const other = adjacent[start + this.#random.integer(degree)]!;
      if (bandwidth[other]! > bandwidth[link]!) link = other;
    }
    const other = linkFrom[link] === unit ? linkTo[link]! : linkFrom[link]!;
    const host = this.#state.hostOf[other]!;
    return host >= 0 ? host : this.#state.hostOf[unit]!;
  }

  /** Someone on the host with whom the unit can change places; -1: nobody. */
  #partner(unit: number, host: number): number {
    const state = this.#state;
    if (this.#compiled.hostCount <= fewHosts) {
      for (let attempt = 0; attempt < 2 * fewHosts; attempt += 1) {
        const other = this.#units[this.#random.integer(this.#units.length)]!;
        if (state.hostOf[other] === host && state.canSwap(unit, other)) return other;
      }
      return -1;
    }
    let found = -1;
    let seen = 0;
    let looked = 0;
    for (let other = state.firstOn[host]!; other >= 0 && looked < scanned; other = state.nextOn[other]!) {
      looked += 1;
      if (this.#movable[other] !== 1 || !state.canSwap(unit, other) || this.#isSkipped(other)) continue;
      seen += 1;
      if (this.#random.integer(seen) === 0) found = other;
    }
    return found;
  }

  /** All that may move of two hosts changes places; false when it may not or is too much. */
  #exchangeHosts(one: number, other: number): boolean {
    const here = this.#members(one, other, this.#here);
    const there = this.#members(other, one, this.#there);
    if (here < 0 || there < 0) return false;
    for (let at = 0; at < here; at += 1) this.#state.move(this.#here[at]!, other);
    for (let at = 0; at < there; at += 1) this.#state.move(this.#there[at]!, one);
    return true;
  }

  #members(host: number, destination: number, into: Int32Array): number {
    const { choices, unitChoice } = this.#compiled;
    const state = this.#state;
    let count = 0;
    for (let unit = state.firstOn[host]!; unit >= 0; unit = state.nextOn[unit]!) {
      if (this.#movable[unit] !== 1) continue;
      if (
        this.#isSkipped(unit) ||
        count === memberLimit ||
        choices[unitChoice[unit]!]!.mask[destination] !== 1
      )
        return -1;
      into[count] = unit;
      count += 1;
    }
    return count;
  }

  /** A unit of a crowded host, or at an end of a crowded or too distant link; any unit when none is met. */
  #violatingUnit(): number {
    const state = this.#state;
    const { links, linkFrom, linkTo } = this.#compiled;
    const hosts = state.overCpu > 0 || state.overMemory > 0 || state.brokenRules > 0;
    for (let attempt = 0; attempt < 12; attempt += 1) {
      if (hosts && attempt % 2 === 0) {
        const unit = this.#units[this.#random.integer(this.#units.length)]!;
        const host = state.hostOf[unit]!;
        if (host >= 0 && (state.cpuFree[host]! < 0 || state.memoryFree[host]! < 0)) return unit;
      } else if (links.length > 0) {
        const link = this.#random.integer(links.length);
        if (!state.isCrowded(link) && !state.isTooFar(link)) continue;
        const unit = this.#random.next() < 0.5 ? linkFrom[link]! : linkTo[link]!;
        if (this.#movable[unit] === 1) return unit;
      }
    }
    return this.#units[this.#random.integer(this.#units.length)]!;
  }
}
