import type { Compiled } from "#planner/compile.ts";

/** Who is on which host, and what that takes: CPU, memory, placement rules, movement, balance. */
export class HostLoads {
  readonly compiled: Compiled;
  readonly hostOf: Int32Array;
  /** Units on each host as doubly linked lists. */
  readonly firstOn: Int32Array;
  readonly nextOn: Int32Array;
  readonly cpuFree: Float64Array;
  readonly memoryFree: Float64Array;

  /** Exact sums of what exceeds capacity, and counts. */
  overCpu = 0;
  overMemory = 0;
  /** Hosts (for CPU and for memory) and physical links over their capacity. */
  crowded = 0;
  brokenRules = 0;
  moved = 0;
  balance = 0;

  readonly #previousOn: Int32Array;
  readonly #nominal: Float64Array;
  readonly #counters: Int32Array;

  constructor(compiled: Compiled) {
    const { unitCount, hostCount } = compiled;
    this.compiled = compiled;
    this.hostOf = new Int32Array(unitCount).fill(-1);
    this.firstOn = new Int32Array(hostCount).fill(-1);
    this.nextOn = new Int32Array(unitCount).fill(-1);
    this.#previousOn = new Int32Array(unitCount).fill(-1);
    this.cpuFree = compiled.cpuFree.slice();
    this.memoryFree = compiled.memoryFree.slice();
    this.#nominal = new Float64Array(hostCount);
    this.#counters = new Int32Array(compiled.rules.counters);
  }

  /** Puts the unit on a host; -1 is nowhere. Links are not its business. */
  relocate(unit: number, host: number): void {
    const { unitCpu, unitMemory, unitNominal, unitHome, unitHomeMembers, cpuCapacity } = this.compiled;
    const from = this.hostOf[unit]!;
    const homeMembers = unitHomeMembers[unit]!;
    const home = unitHome[unit]!;
    if (from >= 0) {
      this.overCpu -= Math.min(unitCpu[unit]!, Math.max(0, -this.cpuFree[from]!));
      this.overMemory -= Math.min(unitMemory[unit]!, Math.max(0, -this.memoryFree[from]!));
      this.crowded -= this.#crowdedOn(from);
      this.cpuFree[from]! += unitCpu[unit]!;
      this.memoryFree[from]! += unitMemory[unit]!;
      this.crowded += this.#crowdedOn(from);
      this.#rebalance(from, -unitNominal[unit]!, cpuCapacity[from]!);
      if (home >= 0 && from !== home) this.moved -= homeMembers;
      this.#unlink(unit, from);
      this.#count(unit, from, -1);
    }
    this.hostOf[unit] = host;
    if (host < 0) return;
    this.overCpu += Math.min(unitCpu[unit]!, Math.max(0, unitCpu[unit]! - this.cpuFree[host]!));
    this.overMemory += Math.min(unitMemory[unit]!, Math.max(0, unitMemory[unit]! - this.memoryFree[host]!));
    this.crowded -= this.#crowdedOn(host);
    this.cpuFree[host]! -= unitCpu[unit]!;
    this.memoryFree[host]! -= unitMemory[unit]!;
    this.crowded += this.#crowdedOn(host);
    this.#rebalance(host, unitNominal[unit]!, cpuCapacity[host]!);
    if (home >= 0 && host !== home) this.moved += homeMembers;
    this.nextOn[unit] = this.firstOn[host]!;
    this.#previousOn[unit] = -1;
    if (this.firstOn[host]! >= 0) this.#previousOn[this.firstOn[host]!] = unit;
    this.firstOn[host] = unit;
    this.#count(unit, host, 1);
  }

  #crowdedOn(host: number): number {
    return (this.cpuFree[host]! < 0 ? 1 : 0) + (this.memoryFree[host]! < 0 ? 1 : 0);
  }

  #rebalance(host: number, change: number, capacity: number): void {
    const before = this.#nominal[host]! / capacity;
    this.#nominal[host]! += change;
    const after = this.#nominal[host]! / capacity;
    this.balance += after * after - before * before;
  }

  #unlink(unit: number, host: number): void {
    const before = this.#previousOn[unit]!;
    const after = this.nextOn[unit]!;
    if (before >= 0) this.nextOn[before] = after;
    else this.firstOn[host] = after;
    if (after >= 0) this.#previousOn[after] = before;
  }

  #count(unit: number, host: number, sign: number): void {
    const { unitStart, unitRule, unitMembers, apart, bySite, offset, siteOfHost } = this.compiled.rules;
    for (let at = unitStart[unit]!; at < unitStart[unit + 1]!; at += 1) {
      const rule = unitRule[at]!;
      const counter = offset[rule]! + (bySite[rule] === 1 ? siteOfHost[host]! : host);
      const before = this.#counters[counter]!;
      const after = before + sign * unitMembers[at]!;
      this.#counters[counter] = after;
      this.brokenRules +=
        apart[rule] === 1
          ? Math.max(0, after - 1) - Math.max(0, before - 1)
          : (after > 0 ? 1 : 0) - (before > 0 ? 1 : 0);
    }
  }
}
