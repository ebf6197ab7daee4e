import { capacity } from "./memory.ts";

const nobody = -1;
/** What is owed of less than this part of a slot is not worth another awakening of the dispatcher. */
const owedShareMin = 0.02;

/**
 * What slots have lost of their time, because they began late or were interrupted by the dispatcher, or, where that is
 * known, what was left of it, and how it is made up: who ran last in a column is left running into the idle slots that
 * follow, for as long as is owed. So a period that could still give what is reserved gives it, whatever held the
 * dispatcher up; and nobody loses a slot by that. One entry for each column of the table; it allocates nothing.
 *
 *     due              begun                     due                     stopped
 *      |--- owed 2 ms ---|------- 8 ms of 10 ------|------- 2 ms more -----|   idle
 */
export class Overtime {
  readonly #owners = new Int32Array(capacity.processors).fill(nobody);
  readonly #owedUs = new Int32Array(capacity.processors);
  /** Slots one after another that their owner has had until now. */
  readonly #ranUs = new Int32Array(capacity.processors);
  readonly #fresh = new Uint8Array(capacity.processors);
  readonly #kept = new Uint8Array(capacity.processors);
  #columns = 0;

  /** Another table: what was owed by the one before is nobody's any more. */
  forget(): void {
    for (let column = 0; column < this.#columns; column += 1) this.#leave(column);
    this.#columns = 0;
  }

  /** A slot of `quantumUs` begins in which `owner` has this column, or nobody, -1. */
  begin(column: number, owner: number, quantumUs: number): void {
    this.#columns = Math.max(this.#columns, column + 1);
    if (owner !== nobody) {
      const isSame = owner === this.#owners[column];
      if (!isSame || this.#kept[column] === 1) this.#owedUs[column] = 0;
      const goesOn = isSame && this.#kept[column] === 0;
      this.#ranUs[column] = quantumUs + (goesOn ? (this.#ranUs[column] ?? 0) : 0);
      this.#fresh[column] = isSame ? 0 : 1;
      this.#owners[column] = owner;
      this.#kept[column] = 0;
      return;
    }
    if (this.#owners[column] === nobody) return;
    // The whole slot before was overtime, too.
    if (this.#kept[column] === 1) this.#owedUs[column] = (this.#owedUs[column] ?? 0) - quantumUs;
    if ((this.#owedUs[column] ?? 0) < quantumUs * owedShareMin) this.#leave(column);
    else this.#kept[column] = 1;
  }

  /** The slot that begins is nobody's, and the one before it was somebody's. */
  isEnding(column: number, owner: number): boolean {
    return owner === nobody && this.#owners[column] !== nobody && this.#kept[column] === 0;
  }

  /** Who has this column, or had it last and is left running; -1: nobody. */
  ownerOf(column: number): number {
    return this.#owners[column] ?? nobody;
  }

  ranUs(column: number): number {
    return this.#ranUs[column] ?? 0;
  }

  /** The overtime of this column is over at the end of the slot that was, whoever has the next one. */
  isUsedUp(column: number, quantumUs: number): boolean {
    return this.#kept[column] === 1 && (this.#owedUs[column] ?? 0) < quantumUs * (1 + owedShareMin);
  }

  /** In place of what was owed: until so long after the beginning of the slot that was, or, at its end, is to be. */
  setOwed(column: number, untilUs: number): void {
    this.#owedUs[column] = Math.max(0, untilUs);
  }

  /** Of the slot that begins: who has just been continued has lost the first, who ran on the second. */
  owe(begunUs: number, interruptedUs: number): void {
    for (let column = 0; column < this.#columns; column += 1) {
      if (this.#owners[column] === nobody || this.#kept[column] === 1) continue;
      const lostUs = this.#fresh[column] === 1 ? begunUs : interruptedUs;
      this.#owedUs[column] = (this.#owedUs[column] ?? 0) + lostUs;
    }
  }

  /** Whoever has this column is left running in a slot of nobody's. */
  isKept(column: number): boolean {
    return this.#kept[column] === 1;
  }

  /** How long after the beginning of this slot the first overtime ends; 0: there is none. */
  shortestUs(): number {
    let shortest = 0;
    for (let column = 0; column < this.#columns; column += 1) {
      const owed = this.#owedUs[column] ?? 0;
      if (this.#kept[column] === 1 && (shortest === 0 || owed < shortest)) shortest = owed;
    }
    return shortest;
  }

  /** That of this column, if it lasts no longer than so long into this slot. */
  ends(column: number, afterUs: number): boolean {
    return this.#kept[column] === 1 && (this.#owedUs[column] ?? 0) <= afterUs;
  }

  /** Of all columns for which it `ends`. */
  settle(afterUs: number): void {
    for (let column = 0; column < this.#columns; column += 1) {
      if (this.ends(column, afterUs)) this.#leave(column);
    }
  }

  #leave(column: number): void {
    this.#owners[column] = nobody;
    this.#owedUs[column] = 0;
    this.#kept[column] = 0;
  }
}
