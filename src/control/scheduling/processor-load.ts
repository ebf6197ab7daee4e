import { leastCommonMultiple, utilisationGrace, utilisationOf } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import type { ProcessorCapacity, SchedulingPolicy } from "./reservation.ts";
import { hyperbolicBound, responseTimes } from "./response-time.ts";

/** What one processor has promised: tells exactly, and mostly without looking at all of it, whether one more task fits. */
export class ProcessorLoad {
  readonly #capacity: number;
  readonly #policy: SchedulingPolicy;
  readonly #tasks: PeriodicTask[] = [];
  readonly #periods = new DistinctPeriods();
  readonly #repeatMax: number;
  #repeat = 1;
  #utilisation = 0;
  #product = 1;

  /** `repeatMax`: all that is here must begin anew together after so long; absent: whenever it does. */
  constructor(capacity: ProcessorCapacity, policy: SchedulingPolicy, repeatMax = Infinity) {
    this.#capacity = usableShare(capacity);
    this.#policy = policy;
    this.#repeatMax = repeatMax;
  }

  get tasks(): readonly PeriodicTask[] {
    return this.#tasks;
  }

  get utilisation(): number {
    return this.#utilisation;
  }

  /** After how long all that is here begins anew together. */
  get repeat(): number {
    return this.#repeat;
  }

  fits(task: PeriodicTask): boolean {
    return this.repeatsWith(task) && this.keeps(task);
  }

  /** Whether it would repeat soon enough with it. */
  repeatsWith(task: PeriodicTask): boolean {
    return this.#repeatMax === Infinity || this.#repeatAfter(task) <= this.#repeatMax;
  }

  /** Whether it and all that is here would keep their deadlines. */
  keeps(task: PeriodicTask): boolean {
    if (task.execution > task.period) return false;
    if (this.#utilisation + utilisationOf(task) > this.#capacity + utilisationGrace) return false;
    if (this.#policy === "earliest-deadline-first") return true;
    if (this.#product * (utilisationOf(task) + 1) <= hyperbolicBound) return true;
    if (this.#periods.harmonicWith(task.period)) return true;
    return responseTimes([...this.#tasks, task]).every((time) => time !== undefined);
  }

  add(task: PeriodicTask): void {
    this.#tasks.push(task);
    this.#utilisation += utilisationOf(task);
    this.#product *= utilisationOf(task) + 1;
    this.#periods.add(task.period);
    this.#repeat = this.#repeatAfter(task);
  }

  #repeatAfter(task: PeriodicTask): number {
    return leastCommonMultiple(this.#repeat, task.repeat ?? task.period);
  }
}

/** Of one processor at most one can be used, whatever its capacity says. */
export const usableShare = (capacity: ProcessorCapacity): number => Math.min(capacity.milli, 1000) / 1000;

/** Whether all periods so far divide each other, kept while they are added. */
class DistinctPeriods {
  readonly #sorted: number[] = [];
  #harmonic = true;

  harmonicWith(period: number): boolean {
    if (!this.#harmonic) return false;
    const at = this.#position(period);
    const next = this.#sorted[at];
    if (next === period) return true;
    const previous = this.#sorted[at - 1];
    return (previous === undefined || period % previous === 0) && (next === undefined || next % period === 0);
  }

  add(period: number): void {
    this.#harmonic = this.harmonicWith(period);
    const at = this.#position(period);
    if (this.#sorted[at] !== period) this.#sorted.splice(at, 0, period);
  }

  /** Of the first that is not shorter. */
  #position(period: number): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] ?? 0) < period) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
