import { capacity } from "./memory.ts";

const unknown = -1;

/**
 * What a job leaves of the slots it had, because it slept in them or somebody kept the processor from it, and so may
 * still have in the idle slots behind them: no more in all than its slots would have given. What it had too much, as the
 * kernel tells use of other processors a little late, is taken from what it leaves later. It allocates nothing.
 */
export class Allowance {
  readonly #usedUsOf: (job: number) => number;
  /** What it had used when it was last looked at. */
  readonly #usedUs = new Float64Array(capacity.jobs).fill(unknown);
  readonly #leftUs = new Float64Array(capacity.jobs);

  /** `usedUsOf`: CPU time of a job since it was made; negative where that is not told. */
  constructor(usedUsOf: (job: number) => number) {
    this.#usedUsOf = usedUsOf;
  }

  /** Slots of `ranUs` have ended. Negative where it is not known, or too much was had. */
  afterSlots(job: number, ranUs: number): number {
    const debtUs = Math.min(0, this.#leftUs[job] ?? 0);
    this.#leftUs[job] = debtUs;
    const spentUs = this.#spentUs(job);
    if (spentUs === unknown) return unknown;
    this.#leftUs[job] = debtUs + ranUs - spentUs;
    return this.#leftUs[job] ?? 0;
  }

  /** It has run in an idle slot since it was looked at. */
  left(job: number): number {
    const spentUs = this.#spentUs(job);
    if (spentUs === unknown) return unknown;
    this.#leftUs[job] = (this.#leftUs[job] ?? 0) - spentUs;
    return this.#leftUs[job] ?? 0;
  }

  /** A number that another job may get. */
  forget(job: number): void {
    this.#usedUs[job] = unknown;
    this.#leftUs[job] = 0;
  }

  #spentUs(job: number): number {
    const before = this.#usedUs[job] ?? unknown;
    const now = this.#usedUsOf(job);
    this.#usedUs[job] = now;
    return before < 0 || now < before ? unknown : now - before;
  }
}
