import { capacity } from "./memory.ts";

const unknown = -1;
/** To ask what a job has used takes some microseconds of a slot: of more jobs it is not asked. */
const jobsMax = 4;

/**
 * What the jobs of a column leave of the slots they had, because they slept in them or somebody kept the processor from
 * them, and so may still have in the idle slots behind them: no more in all than their slots would have given. What they
 * had too much, as the kernel tells use of other processors a little late, is taken from what they leave later. It
 * allocates nothing.
 */
export class Allowance {
  readonly #usedUsOf: (job: number) => number;
  /** What each job had used when it was last looked at. */
  readonly #usedUs = new Float64Array(capacity.jobs).fill(unknown);
  /** By owner: a machine or team. */
  readonly #leftUs = new Float64Array(capacity.targets);
  /** Of each column so many jobs; one more than there may be: too many. */
  readonly #jobs = new Int32Array(capacity.processors * jobsMax);
  readonly #jobCounts = new Int32Array(capacity.processors);

  /** `usedUsOf`: CPU time of a job since it was made; negative where that is not told. */
  constructor(usedUsOf: (job: number) => number) {
    this.#usedUsOf = usedUsOf;
  }

  followNobody(column: number): void {
    this.#jobCounts[column] = 0;
  }

  follow(column: number, job: number): void {
    const count = this.#jobCounts[column] ?? 0;
    if (count > jobsMax) return;
    if (count < jobsMax) this.#jobs[column * jobsMax + count] = job;
    this.#jobCounts[column] = count + 1;
  }

  /** The owner's slots of `ranUs` have ended. Negative where it is not known, or too much was had. */
  afterSlots(owner: number, column: number, ranUs: number): number {
    const debtUs = Math.min(0, this.#leftUs[owner] ?? 0);
    this.#leftUs[owner] = debtUs;
    const spentUs = this.#spentUs(column);
    if (spentUs === unknown) return unknown;
    this.#leftUs[owner] = debtUs + ranUs - spentUs;
    return this.#leftUs[owner] ?? 0;
  }

  /** Its jobs have run in an idle slot since they were looked at. */
  left(owner: number, column: number): number {
    const spentUs = this.#spentUs(column);
    if (spentUs === unknown) return unknown;
    this.#leftUs[owner] = (this.#leftUs[owner] ?? 0) - spentUs;
    return this.#leftUs[owner] ?? 0;
  }

  /** A number that another job may get. */
  forget(job: number): void {
    this.#usedUs[job] = unknown;
  }

  /** Unknown where it is of one of them, or there is none; all are known from then on. */
  #spentUs(column: number): number {
    const count = this.#jobCounts[column] ?? 0;
    if (count === 0 || count > jobsMax) return unknown;
    let sumUs = 0;
    for (let each = column * jobsMax; each < column * jobsMax + count; each += 1) {
      const job = this.#jobs[each] ?? 0;
      const before = this.#usedUs[job] ?? unknown;
      const now = this.#usedUsOf(job);
      this.#usedUs[job] = now;
      if (before < 0 || now < before) sumUs = unknown;
      else if (sumUs !== unknown) sumUs += now - before;
    }
    return sumUs;
  }
}
