import type { Micros } from "#base/units.ts";
import { deadlineShare, shareOf, totalShare } from "./admission.ts";
import type { BookedMachine, HostCapacity } from "./admission.ts";
import { areHarmonic, utilisationGrace } from "./periodic-task.ts";
import { schedulingLimits } from "./limits.ts";
import { tableLength } from "./placement.ts";
import { usableShare } from "./processor-load.ts";
import { inQuanta } from "./quanta.ts";
import { rateMonotonicFeasible } from "./response-time.ts";

/** Changes after which sums are added up anew, before what adding and subtracting rounds away could matter. */
const changesUntilRecount = 100_000;

type Sum = { share: number; readonly capacity: number; readonly machines: Set<string>; harmonic: boolean };

/**
 * What is reserved in total and on each processor, to decide changes of execution times (with the same periods) without
 * looking at every machine.
 */
export class LoadSums {
  readonly #host: HostCapacity;
  readonly #quantumUs: Micros;
  readonly #processorOf: ReadonlyMap<string, number>;
  readonly #sums: readonly Sum[];
  readonly #capacity: number;
  readonly #deadlineCapacity: number;
  #total = 0;
  #deadlines = 0;
  /** Of machines in tables: no share is greater, and all periods divide each other. */
  #greatest = 0;
  #tabled = 0;
  #harmonic = true;
  /** Wherever they run, the table repeats soon enough. */
  #short = true;
  #changes = 0;

  constructor(
    machines: readonly BookedMachine[],
    processorOf: ReadonlyMap<string, number>,
    host: HostCapacity,
    quantumUs: Micros,
  ) {
    this.#host = host;
    this.#quantumUs = quantumUs;
    this.#processorOf = processorOf;
    this.#capacity = totalShare(host.processors);
    this.#deadlineCapacity = deadlineShare(host.processors);
    this.#sums = host.processors.map((capacity) => ({
      share: 0,
      capacity: usableShare(capacity),
      machines: new Set(),
      harmonic: true,
    }));
    const periods = host.processors.map(() => new Set<number>());
    for (const machine of machines) {
      const share = shareOf(machine, quantumUs);
      this.#total += share;
      if (machine.kind === "deadline") this.#deadlines += share;
      const processor = this.#processorOfTabled(machine);
      if (processor === undefined) continue;
      const sum = this.#sums[processor];
      if (sum !== undefined) sum.share += share;
      sum?.machines.add(machine.id);
      periods[processor]?.add(inQuanta(machine.reservation, quantumUs).period);
      this.#tabled += share;
      this.#greatest = Math.max(this.#greatest, share);
    }
    for (const [processor, sum] of this.#sums.entries()) sum.harmonic = areHarmonic(periods[processor] ?? []);
    const tabled = machines.filter((machine) => machine.kind === "dispatch-table");
    this.#short = tableLength(tabled, quantumUs) <= schedulingLimits.tableSlotsMax;
    this.#harmonic = areHarmonic(periods.flatMap((ofOne) => [...ofOne]));
  }

  get total(): number {
    return this.#total;
  }

  /** Time to make new sums. */
  get worn(): boolean {
    return this.#changes > changesUntilRecount;
  }

  /**
   * Asks whether these machines, as they are to be, fit where they run, and would also be admitted as a set. If so, what
   * to call when they have changed; undefined when that takes a closer look, or is not so.
   */
  admit(
    changed: readonly BookedMachine[],
    current: (id: string) => BookedMachine | undefined,
  ): (() => void) | undefined {
    const more = this.#sums.map(() => 0);
    let [total, deadlines, tabled, greatest] = [this.#total, this.#deadlines, this.#tabled, this.#greatest];
    for (const machine of changed) {
      const before = current(machine.id);
      const share = shareOf(machine, this.#quantumUs);
      const difference = share - (before === undefined ? 0 : shareOf(before, this.#quantumUs));
      total += difference;
      if (machine.kind === "deadline") deadlines += difference;
      const processor = this.#processorOfTabled(machine);
      if (processor === undefined) continue;
      tabled += difference;
      greatest = Math.max(greatest, share);
      more[processor] = (more[processor] ?? 0) + difference;
    }
    if (total > this.#capacity + utilisationGrace) return undefined;
    if (deadlines > this.#deadlineCapacity + utilisationGrace) return undefined;
    if (!this.#wouldFitFromNothing(tabled, greatest)) return undefined;
    const later = new Map(changed.map((machine) => [machine.id, machine]));
    const fit = this.#sums.every((sum, processor) =>
      this.#fits(sum, more[processor] ?? 0, (id) => later.get(id) ?? current(id)),
    );
    if (!fit) return undefined;
    return () => {
      this.#changes += 1;
      [this.#total, this.#deadlines] = [total, deadlines];
      [this.#tabled, this.#greatest] = [tabled, greatest];
      for (const [processor, sum] of this.#sums.entries()) sum.share += more[processor] ?? 0;
    };
  }

  #fits(sum: Sum, difference: number, later: (id: string) => BookedMachine | undefined): boolean {
    if (sum.share + difference > sum.capacity + utilisationGrace) return false;
    if (sum.harmonic || this.#host.policy === "earliest-deadline-first") return true;
    const tasks = [...sum.machines].flatMap((id) => {
      const machine = later(id);
      return machine === undefined ? [] : [inQuanta(machine.reservation, this.#quantumUs)];
    });
    return rateMonotonicFeasible(tasks);
  }

  /**
   * On one processor the test of that is all. On m of them, first fit fails for a machine of share u only when each
   * holds more than its capacity less u; so never while all of them hold no more than all capacity less (m - 1) u.
   */
  #wouldFitFromNothing(tabled: number, greatest: number): boolean {
    if (this.#sums.length <= 1) return true;
    if (!this.#short) return false;
    if (!this.#harmonic && this.#host.policy === "rate-monotonic") return false;
    return tabled <= this.#capacity - (this.#sums.length - 1) * greatest;
  }

  #processorOfTabled(machine: BookedMachine): number | undefined {
    return machine.kind === "dispatch-table" ? this.#processorOf.get(machine.id) : undefined;
  }
}
