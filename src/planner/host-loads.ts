import type { Compiled } from "#planner/compile.ts";

/** Far above what sums of fractions lose in rounding, far below any difference that matters. */
const orderWeight = 1e-6;

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
  /** What each host's excess counts beyond once, and the sums so weighed. */
  readonly hostExtra: Float64Array;
  extraCpu = 0;
  extraMemory = 0;
  /** Hosts (for CPU and for memory) and physical links over their capacity. */
  crowded = 0;
  brokenRules = 0;
  moved = 0;
  balance = 0;
  /** Kept only when packing is wanted. */
  packing = 0;

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
    this.hostExtra = new Float64Array(hostCount);
    this.#nominal = compiled.hostNominal.slice();
    this.#counters = new Int32Array(compiled.rules.counters);
    this.brokenRules = -togetherRules(compiled);
  }

  /** Puts the unit on a host; -1 is nowhere. Links are not its business. */
  relocate(unit: number, host: number): void {
    const { unitCpu, unitMemory, unitNominal, unitHome, unitHomeMembers, cpuCapacity } = this.compiled;
    const from = this.hostOf[unit]!;
    const homeMembers = unitHomeMembers[unit]!;
    const home = unitHome[unit]!;
    const { packs } = this.compiled;
    if (from >= 0) {
      if (packs) this.packing -= this.#roomUsed(from);
      this.#exceed(
        from,
        -Math.min(unitCpu[unit]!, Math.max(0, -this.cpuFree[from]!)),
        -Math.min(unitMemory[unit]!, Math.max(0, -this.memoryFree[from]!)),
      );
      this.crowded -= this.#crowdedOn(from);
      this.cpuFree[from]! += unitCpu[unit]!;
      this.memoryFree[from]! += unitMemory[unit]!;
      this.crowded += this.#crowdedOn(from);
      this.#rebalance(from, -unitNominal[unit]!, cpuCapacity[from]!);
      if (home >= 0 && from !== home) this.moved -= homeMembers;
      this.#unlink(unit, from);
      this.#count(unit, from, -1);
      if (packs) this.packing += this.#roomUsed(from);
    }
    this.hostOf[unit] = host;
    if (host < 0) return;
    if (packs) this.packing -= this.#roomUsed(host);
    this.#exceed(
      host,
      Math.min(unitCpu[unit]!, Math.max(0, unitCpu[unit]! - this.cpuFree[host]!)),
      Math.min(unitMemory[unit]!, Math.max(0, unitMemory[unit]! - this.memoryFree[host]!)),
    );
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
    if (packs) this.packing += this.#roomUsed(host);
  }

  /** CPU and memory that would be exceeded if the unit came, beyond what is exceeded now. */
  lacksRoom(unit: number, host: number): boolean {
    return (
      this.cpuFree[host]! < this.compiled.unitCpu[unit]! ||
      this.memoryFree[host]! < this.compiled.unitMemory[unit]!
    );
  }

  /** Would both fit after changing places? */
  canSwap(one: number, other: number): boolean {
    const { unitCpu, unitMemory, unitChoice, choices } = this.compiled;
    const left = this.hostOf[one]!;
    const right = this.hostOf[other]!;
    const cpu = unitCpu[one]! - unitCpu[other]!;
    const memory = unitMemory[one]! - unitMemory[other]!;
    return (
      this.cpuFree[right]! >= cpu &&
      this.memoryFree[right]! >= memory &&
      this.cpuFree[left]! >= -cpu &&
      this.memoryFree[left]! >= -memory &&
      choices[unitChoice[other]!]!.mask[left] === 1
    );
  }

  /** What the ensembles take of a host's CPU beyond its capacity. */
  excessCpu(host: number): number {
    return Math.max(0, -this.cpuFree[host]!) - Math.max(0, -this.compiled.cpuFree[host]!);
  }

  excessMemory(host: number): number {
    return Math.max(0, -this.memoryFree[host]!) - Math.max(0, -this.compiled.memoryFree[host]!);
  }

  /** Is a rule about the unit broken where it is? */
  breaksRule(unit: number): boolean {
    const { unitStart, unitRule, apart, bySite, offset, siteOfHost } = this.compiled.rules;
    const host = this.hostOf[unit]!;
    for (let at = unitStart[unit]!; at < unitStart[unit + 1]!; at += 1) {
      const rule = unitRule[at]!;
      const counted = this.#counters[offset[rule]! + (bySite[rule] === 1 ? siteOfHost[host]! : host)]!;
      if (apart[rule] === 1 ? counted > 1 : counted < this.compiled.rules.source[rule]!.covered.size)
        return true;
    }
    return false;
  }

  /** Without the credit that `brokenRules` gives to rules about appliances still to be placed. */
  protected rulesBrokenByNow(): number {
    const { source, apart, offset } = this.compiled.rules;
    let broken = 0;
    for (let rule = 0; rule < source.length; rule += 1) {
      const counts = this.#counters.subarray(offset[rule], offset[rule + 1] ?? this.#counters.length);
      let places = 0;
      for (const count of counts) {
        if (count > 0) places += 1;
        if (apart[rule] === 1) broken += Math.max(0, count - 1);
      }
      if (apart[rule] === 0) broken += Math.max(0, places - 1);
    }
    return broken;
  }

  protected weighHosts(): void {
    for (let host = 0; host < this.cpuFree.length; host += 1) {
      if (this.cpuFree[host]! >= 0 && this.memoryFree[host]! >= 0) continue;
      const cpu = this.excessCpu(host);
      const memory = this.excessMemory(host);
      if (cpu <= 0 && memory <= 0) continue;
      this.hostExtra[host]! += 1;
      this.extraCpu += cpu;
      this.extraMemory += memory;
    }
  }

  protected forgetHostWeights(): void {
    this.hostExtra.fill(0);
    this.extraCpu = 0;
    this.extraMemory = 0;
  }

  #exceed(host: number, cpu: number, memory: number): void {
    this.overCpu += cpu;
    this.overMemory += memory;
    this.extraCpu += cpu * this.hostExtra[host]!;
    this.extraMemory += memory * this.hostExtra[host]!;
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

  /** Room a host in use leaves, squared: one on the fullest host that it fits leaves least. Of equals the last costs least. */
  #roomUsed(host: number): number {
    if (this.firstOn[host]! < 0) return 0;
    const { cpuCapacity, memoryCapacity, hostCount } = this.compiled;
    const cpu = Math.max(0, this.cpuFree[host]!) / cpuCapacity[host]!;
    const memory = Math.max(0, this.memoryFree[host]!) / memoryCapacity[host]!;
    return ((cpu + memory) / 2) ** 2 + orderWeight * (1 - host / hostCount);
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

/** Rules "together in one site" about someone who can be placed: the first place of each is not one too many. */
function togetherRules({ rules, choices, unitChoice, unitCount }: Compiled): number {
  const found = new Set<number>();
  for (let unit = 0; unit < unitCount; unit += 1) {
    if (choices[unitChoice[unit]!]!.list.length === 0) continue;
    for (let at = rules.unitStart[unit]!; at < rules.unitStart[unit + 1]!; at += 1) {
      if (rules.apart[rules.unitRule[at]!] === 0) found.add(rules.unitRule[at]!);
    }
  }
  return found.size;
}
