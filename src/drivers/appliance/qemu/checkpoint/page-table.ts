import { hash } from "node:crypto";
import type { RamBlock } from "./ram-stream.ts";

/** What is kept of each page: enough that no two contents are ever taken for the same one. */
const hashBytes = 16;
const zeroHash = Buffer.alloc(hashBytes);
/** No content has this one: the page was never seen. */
const unseen = 0xff;

/** Which content every page of a machine's memory had when it was last looked at: 1/256 of the memory's size. */
export class PageTable {
  readonly #blocks: readonly RamBlock[];
  readonly #hashes: readonly Buffer[];

  constructor(blocks: readonly RamBlock[], hashes?: readonly Buffer[]) {
    this.#blocks = blocks;
    this.#hashes = hashes ?? blocks.map(({ pages }) => Buffer.alloc(pages * hashBytes, unseen));
  }

  /** Notes the page's content; whether it is another than before. */
  changed(block: number, page: number, data: Buffer): boolean {
    return this.#note(block, page, hash("sha256", data, "buffer").subarray(0, hashBytes));
  }

  zeroed(block: number, page: number): boolean {
    return this.#note(block, page, zeroHash);
  }

  #note(block: number, page: number, now: Buffer): boolean {
    const hashes = this.#hashes[block];
    if (hashes === undefined) return true;
    const at = page * hashBytes;
    if (hashes.compare(now, 0, hashBytes, at, at + hashBytes) === 0) return false;
    now.copy(hashes, at);
    return true;
  }

  /** Whether it speaks of the same memory. */
  fits(blocks: readonly RamBlock[]): boolean {
    return (
      blocks.length === this.#blocks.length &&
      blocks.every(({ name, pages }, at) => {
        const mine = this.#blocks[at];
        return mine?.name === name && mine.pages === pages;
      })
    );
  }

  serialize(): Buffer {
    const head = Buffer.from(JSON.stringify(this.#blocks));
    const size = Buffer.alloc(4);
    size.writeUInt32LE(head.length);
    return Buffer.concat([size, head, ...this.#hashes]);
  }

  /** undefined: the bytes are none. */
  static parse(bytes: Buffer): PageTable | undefined {
    try {
      const headEnd = 4 + bytes.readUInt32LE();
      const blocks = JSON.parse(bytes.toString("utf8", 4, headEnd)) as RamBlock[];
      const size = blocks.reduce((sum, { pages }) => sum + pages * hashBytes, 0);
      if (bytes.length !== headEnd + size) return undefined;
      let at = headEnd;
      const hashes = blocks.map(({ pages }) => {
        const from = at;
        at += pages * hashBytes;
        return bytes.subarray(from, at);
      });
      return new PageTable(blocks, hashes);
    } catch {
      return undefined;
    }
  }
}
