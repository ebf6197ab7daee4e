/** Which slots of one processor are given to nobody: a bit each, so that looking through a long period takes no time. */
export class FreeSlots {
  readonly #words: Uint32Array;

  constructor(length: number) {
    this.#words = new Uint32Array((length >>> 5) + 1);
  }

  add(slot: number): void {
    this.#words[slot >>> 5] = (this.#words[slot >>> 5] ?? 0) | (1 << (slot & 31));
  }

  remove(slot: number): void {
    this.#words[slot >>> 5] = (this.#words[slot >>> 5] ?? 0) & ~(1 << (slot & 31));
  }

  /** The first free one of `begin` … `end` - 1, or -1. */
  first(begin: number, end: number): number {
    let index = begin >>> 5;
    let word = (this.#words[index] ?? 0) & (-1 << (begin & 31));
    while (index << 5 < end) {
      if (word !== 0) {
        const slot = (index << 5) + (31 - Math.clz32(word & -word));
        return slot < end ? slot : -1;
      }
      index += 1;
      word = this.#words[index] ?? 0;
    }
    return -1;
  }
}
