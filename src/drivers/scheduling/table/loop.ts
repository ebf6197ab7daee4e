import { Allowance } from "./allowance.ts";
import { capacity, jobState, tableWord, targetWord, targetWords, word } from "./memory.ts";
import type { TableHalf, TableMemory } from "./memory.ts";
import { Overtime } from "./overtime.ts";

/** Stops and continues one job by its number; false: it is gone, or cannot be reached yet. */
export type JobControl = {
  readonly reachable: (job: number) => boolean;
  readonly stop: (job: number) => boolean;
  readonly go: (job: number) => boolean;
  /** Changes nothing, along the way that a change would take. */
  readonly touch: (job: number, isStopped: boolean) => void;
  /** CPU time it has used since it was made; negative where that is not told. */
  readonly usedUs: (job: number) => number;
  /** It was continued, and its number may be used again. */
  readonly release: (job: number) => void;
};

const idle = -1;
/** A slot that begins later than this part of it counts as missed. */
const lateShare = 0.1;
/** Of many jobs the first ones show the way for the others. */
const touchedMax = 4;
/** Of jobs that have come or gone, looked at in one slot: all of many thousands would take it whole, and more. */
const sweptMax = 256;
const roundMax = 0x3fff_ffff;
/** What is left of less than this is not worth another look. */
const leftUsMin = 500;

/**
 * The decisions of the dispatcher, one `dispatch` per slot; no time and no system call of its own. It allocates
 * nothing, as a collection of garbage would be a late slot.
 *
 *   read the targets of this slot ─→ mark the jobs of their turns ─→ stop who runs and is not marked
 *                                    and those in overtime        ─→ continue who is marked and does not run
 */
export class DispatchLoop {
  readonly #memory: TableMemory;
  readonly #control: JobControl;
  /** The slot in which a job was last meant to run. */
  readonly #meant = new Float64Array(capacity.jobs).fill(-1);
  readonly #running = new Int32Array(capacity.jobs);
  readonly #runningColumns = new Int32Array(capacity.jobs);
  #runningCount = 0;
  readonly #next = new Int32Array(capacity.jobs);
  readonly #nextColumns = new Int32Array(capacity.jobs);
  #nextCount = 0;
  readonly #machines = new Int32Array(capacity.processors);
  readonly #cursors = new Int32Array(capacity.processors);
  #chosenCount = 0;
  /** The cursor of whoever has a column in this slot, or -1. */
  readonly #owners = new Int32Array(capacity.processors);
  #columns = 0;
  readonly #overtime = new Overtime();
  readonly #allowance: Allowance;
  /** Of each column whether its owner's jobs have all of its slots, and not one after the other. */
  readonly #together = new Uint8Array(capacity.processors);
  /** As of the slots that were. */
  readonly #ranTogether = new Uint8Array(capacity.processors);
  #generation = -1;
  #structure = -1;
  #reached = -1;
  /** How many jobs are still to be looked at, since some have come or gone, and which is the next. */
  #unswept = 0;
  #sweepAt = 0;
  #stamp = 0;

  constructor(memory: TableMemory, control: JobControl) {
    this.#memory = memory;
    this.#control = control;
    this.#allowance = new Allowance(control.usedUs);
  }

  quantumUs(): number {
    const { header } = this.#memory;
    return this.#memory.half(Atomics.load(header, word.generation)).head[tableWord.quantumUs] ?? 0;
  }

  /**
   * Begins slot `slot` (counted from wherever, the position in the table is its remainder), `lateUs` after its time.
   * `reached` changes whenever more jobs have become reachable.
   */
  dispatch(slot: number, lateUs: number, reached: number): void {
    const generation = this.#choose(slot);
    const structure = Atomics.load(this.#memory.header, word.structure);
    this.#stamp += 1;
    const lateUsMax = this.quantumUs() * lateShare;
    for (let each = 0; each < this.#chosenCount; each += 1) {
      this.#count(this.#machines[each] ?? 0, this.#cursors[each] ?? 0, lateUs, lateUsMax);
    }
    this.#leaveRunning(generation);
    this.#switchOver();
    if (structure !== this.#structure || reached !== this.#reached) {
      this.#structure = structure;
      this.#reached = reached;
      this.#unswept = Atomics.load(this.#memory.header, word.jobsUsed);
    }
    if (this.#unswept > 0) this.#sweep();
    if (this.#unswept === 0) Atomics.store(this.#memory.header, word.acknowledged, generation);
  }

  /**
   * What the slot that has just begun has lost of its time, to be made up in the idle ones behind it: of who was
   * continued, and of who ran already and was interrupted meanwhile.
   */
  owe(begunUs: number, interruptedUs: number): void {
    this.#overtime.owe(begunUs, interruptedUs);
  }

  /** How long after the beginning of this slot somebody is to be stopped who only makes up for lost time; 0: nobody. */
  overtimeUs(): number {
    return this.#overtime.shortestUs();
  }

  /** So long after the beginning of this slot. */
  endOvertime(afterUs: number): void {
    const { stopped } = this.#memory;
    let left = 0;
    for (let each = 0; each < this.#runningCount; each += 1) {
      const job = this.#running[each] ?? 0;
      const column = this.#runningColumns[each] ?? 0;
      if (this.#overtime.ends(column, afterUs) && !this.#goesOn(column, afterUs)) {
        if (Atomics.load(stopped, job) === 0) this.#stop(job);
        continue;
      }
      this.#running[left] = job;
      this.#runningColumns[left] = column;
      left += 1;
    }
    this.#runningCount = left;
    this.#overtime.settle(afterUs);
  }

  /** Somebody will run in this slot who does not run now: who waits for it is to be told in time. */
  begins(slot: number): boolean {
    this.#choose(slot);
    const { stopped } = this.#memory;
    for (let each = 0; each < this.#nextCount; each += 1) {
      if (Atomics.load(stopped, this.#next[each] ?? 0) !== 0) return true;
    }
    return false;
  }

  /**
   * Goes through what the dispatch of this slot will go through, so that it then finds all of it near: after a slot of
   * other programs the first call to the kernel takes ten times as long as the second.
   */
  prepare(slot: number): void {
    this.#choose(slot);
    const { stopped, jobStates } = this.#memory;
    for (let each = 0; each < Math.min(this.#runningCount, touchedMax); each += 1) {
      const job = this.#running[each] ?? 0;
      if (Atomics.load(stopped, job) === 0) this.#control.touch(job, false);
    }
    for (let each = 0; each < Math.min(this.#nextCount, touchedMax); each += 1) {
      const job = this.#next[each] ?? 0;
      // Its owner continues one that leaves.
      const isKept = Atomics.load(jobStates, job) === jobState.wanted;
      if (isKept && Atomics.load(stopped, job) !== 0) this.#control.touch(job, true);
    }
  }

  /** Nothing is left stopped. */
  end(): void {
    const used = Atomics.load(this.#memory.header, word.jobsUsed);
    for (let job = 0; job < used; job += 1) {
      if (Atomics.load(this.#memory.stopped, job) !== 0) this.#continue(job);
    }
    this.#runningCount = 0;
  }

  /** The generation whose table was read, whole: its machines and the jobs of their turns. */
  #choose(slot: number): number {
    const { header } = this.#memory;
    for (;;) {
      const generation = Atomics.load(header, word.generation);
      const half = this.#memory.half(generation);
      const { head, slots } = half;
      const columns = Math.min(head[tableWord.processors] ?? 0, capacity.processors);
      this.#nextCount = 0;
      this.#chosenCount = 0;
      this.#columns = columns;
      for (let column = 0; column < columns; column += 1) {
        const first = head[tableWord.columns + 2 * column] ?? 0;
        const length = head[tableWord.columns + 2 * column + 1] ?? 0;
        const target = length === 0 ? idle : (slots[first + (slot % length)] ?? idle);
        this.#owners[column] = idle;
        if (target !== idle) this.#take(half, target, column);
      }
      if (Atomics.load(header, word.generation) === generation) return generation;
    }
  }

  #take({ targets, turns, turnJobs }: TableHalf, target: number, column: number): void {
    const at = target * targetWords;
    if ((targets[at + targetWord.suspended] ?? 0) !== 0) return;
    const cursor = targets[at + targetWord.cursor] ?? 0;
    this.#owners[column] = cursor;
    this.#machines[this.#chosenCount] = targets[at + targetWord.machine] ?? 0;
    this.#cursors[this.#chosenCount] = cursor;
    this.#chosenCount += 1;
    const turnCount = targets[at + targetWord.turns] ?? 0;
    this.#together[column] = turnCount === 1 ? 1 : 0;
    if (turnCount === 0) return;
    const round = this.#memory.cursors[cursor] ?? 0;
    const turn = 2 * ((targets[at + targetWord.firstTurn] ?? 0) + (round % turnCount));
    const first = turns[turn] ?? 0;
    const last = Math.min(first + (turns[turn + 1] ?? 0), capacity.turnJobs);
    for (let each = first; each < last && this.#nextCount < capacity.jobs; each += 1) {
      this.#next[this.#nextCount] = turnJobs[each] ?? 0;
      this.#nextColumns[this.#nextCount] = column;
      this.#nextCount += 1;
    }
  }

  #count(machine: number, cursor: number, lateUs: number, lateUsMax: number): void {
    const { dispatches, misses, latestUs, cursors } = this.#memory;
    const round = cursors[cursor] ?? 0;
    cursors[cursor] = round === roundMax ? 0 : round + 1;
    dispatches[machine] = (dispatches[machine] ?? 0) + 1;
    if (lateUs > lateUsMax) misses[machine] = (misses[machine] ?? 0) + 1;
    if (lateUs > (latestUs[machine] ?? 0)) latestUs[machine] = lateUs;
  }

  /** Those to whom time is owed and whose column is nobody's in this slot are among the next. */
  #leaveRunning(generation: number): void {
    const overtime = this.#overtime;
    if (generation !== this.#generation) overtime.forget();
    this.#generation = generation;
    const quantumUs = this.quantumUs();
    for (let column = 0; column < this.#columns; column += 1) {
      const owner = this.#owners[column] ?? idle;
      this.#settle(column, owner, quantumUs);
      overtime.begin(column, owner, quantumUs);
      if (owner !== idle) this.#ranTogether[column] = this.#together[column] ?? 0;
    }
    for (let each = 0; each < this.#runningCount && this.#nextCount < capacity.jobs; each += 1) {
      const column = this.#runningColumns[each] ?? 0;
      if (!overtime.isKept(column)) continue;
      this.#next[this.#nextCount] = this.#running[each] ?? 0;
      this.#nextColumns[this.#nextCount] = column;
      this.#nextCount += 1;
    }
  }

  /** Before the next slot of a column: what whoever had it last has left. */
  #settle(column: number, owner: number, quantumUs: number): void {
    const overtime = this.#overtime;
    if (overtime.isEnding(column, owner)) {
      this.#follow(column);
      const leftUs = this.#allowance.afterSlots(overtime.ownerOf(column), column, overtime.ranUs(column));
      if (leftUs >= leftUsMin) overtime.setOwed(column, leftUs);
      return;
    }
    if (!overtime.isKept(column)) return;
    if (owner !== idle) this.#allowance.left(overtime.ownerOf(column), column);
    else if (overtime.isUsedUp(column, quantumUs)) this.#goesOn(column, quantumUs);
  }

  /** Those that had the column's slots until now, unless they took turns in them. */
  #follow(column: number): void {
    this.#allowance.followNobody(column);
    if (this.#ranTogether[column] === 0) return;
    for (let each = 0; each < this.#runningCount; each += 1) {
      if (this.#runningColumns[each] === column) this.#allowance.follow(column, this.#running[each] ?? 0);
    }
  }

  /** Its overtime is over, but less of it was used. */
  #goesOn(column: number, afterUs: number): boolean {
    const leftUs = this.#allowance.left(this.#overtime.ownerOf(column), column);
    if (leftUs < leftUsMin) return false;
    this.#overtime.setOwed(column, afterUs + leftUs);
    return true;
  }

  #switchOver(): void {
    const { stopped } = this.#memory;
    for (let each = 0; each < this.#nextCount; each += 1) this.#meant[this.#next[each] ?? 0] = this.#stamp;
    for (let each = 0; each < this.#runningCount; each += 1) {
      const job = this.#running[each] ?? 0;
      if (this.#meant[job] !== this.#stamp && Atomics.load(stopped, job) === 0) this.#stop(job);
    }
    for (let each = 0; each < this.#nextCount; each += 1) {
      const job = this.#next[each] ?? 0;
      if (Atomics.load(stopped, job) !== 0) this.#continue(job);
      this.#running[each] = job;
      this.#runningColumns[each] = this.#nextColumns[each] ?? 0;
    }
    this.#runningCount = this.#nextCount;
  }

  /** After jobs have come or gone: who came waits for its slot, who goes runs on. Some of them, the others in later slots. */
  #sweep(): void {
    const used = Atomics.load(this.#memory.header, word.jobsUsed);
    const looks = Math.min(this.#unswept, sweptMax);
    for (let look = 0; look < looks; look += 1) {
      if (this.#sweepAt >= used) this.#sweepAt = 0;
      this.#lookAt(this.#sweepAt);
      this.#sweepAt += 1;
    }
    this.#unswept -= looks;
  }

  #lookAt(job: number): void {
    const { jobStates, stopped } = this.#memory;
    const state = Atomics.load(jobStates, job);
    const isStopped = Atomics.load(stopped, job) !== 0;
    if (state === jobState.wanted && !isStopped && this.#meant[job] !== this.#stamp) this.#stop(job);
    if (state !== jobState.leaving) return;
    if (isStopped) this.#continue(job);
    this.#allowance.forget(job);
    this.#control.release(job);
  }

  #stop(job: number): void {
    if (Atomics.load(this.#memory.jobStates, job) !== jobState.wanted || !this.#control.reachable(job))
      return;
    Atomics.store(this.#memory.stopped, job, 1);
    if (!this.#control.stop(job)) Atomics.store(this.#memory.stopped, job, 0);
  }

  #continue(job: number): void {
    const isKept = Atomics.load(this.#memory.jobStates, job) === jobState.wanted;
    // Its owner has stopped it, and this process does not have it open yet: in a later slot.
    if (isKept && !this.#control.reachable(job)) return;
    this.#control.go(job);
    Atomics.store(this.#memory.stopped, job, 0);
  }
}
