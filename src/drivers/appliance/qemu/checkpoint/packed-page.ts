import { pageBytes } from "./ram-stream.ts";

/**
 * A page without its words of eight bytes that are zero: one bit for each word, the lowest first, then the others. Most
 * of what a kernel keeps is made of them, and leaving them out is quicker than any link, so it is always done.
 */
const wordBytes = 8;
const words = pageBytes / wordBytes;
const mapBytes = words / 8;
/** With more words than these, next to nothing is saved. */
const wordsMax = words - words / 8;

/** What so many words take. */
export const packedBytes = (count: number): number => mapBytes + count * wordBytes;

export class PagePacker {
  readonly #page = new Int32Array(pageBytes / 4);
  readonly #pageBytes = Buffer.from(this.#page.buffer);
  readonly #packed = new Int32Array(packedBytes(wordsMax) / 4);
  readonly #packedBytes = Buffer.from(this.#packed.buffer);

  /** Valid until the next call. undefined: too little of the page is zero. */
  pack(data: Buffer): { readonly count: number; readonly content: Buffer } | undefined {
    data.copy(this.#pageBytes);
    this.#packedBytes.fill(0, 0, mapBytes);
    let count = 0;
    for (let word = 0; word < words; word += 1) {
      const low = this.#page[word * 2] ?? 0;
      const high = this.#page[word * 2 + 1] ?? 0;
      if ((low | high) === 0) continue;
      if (count === wordsMax) return undefined;
      const to = mapBytes / 4 + count * 2;
      this.#packed[to] = low;
      this.#packed[to + 1] = high;
      this.#packedBytes[word >> 3] = (this.#packedBytes[word >> 3] ?? 0) | (1 << (word & 7));
      count += 1;
    }
    return { count, content: this.#packedBytes.subarray(0, packedBytes(count)) };
  }
}

/** The page; undefined: the content is not of a page with so many words. */
export function unpackedPage(content: Buffer, count: number): Buffer | undefined {
  if (content.length !== packedBytes(count) || count > words) return undefined;
  const page = Buffer.alloc(pageBytes);
  let from = mapBytes;
  for (let word = 0; word < words; word += 1) {
    if (((content[word >> 3] ?? 0) & (1 << (word & 7))) === 0) continue;
    if (from === content.length) return undefined;
    content.copy(page, word * wordBytes, from, from + wordBytes);
    from += wordBytes;
  }
  return from === content.length ? page : undefined;
}
