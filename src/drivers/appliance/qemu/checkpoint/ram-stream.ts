import { ConsortError } from "#base/errors.ts";

/**
 * QEMU's migration stream, as far as memory goes (docs/devel/migration.rst, migration/ram.c):
 *
 *   magic version configuration │ START ram: blocks │ PART ram: pages │ PART … │ END ram: pages │ devices …
 *   └───────────── prelude ─────────────────────────┘                                          └── tail ──┘
 *
 * Devices have no lengths, so all behind memory's last section is taken as it is. What restores a machine is the
 * newest prelude, any set of pages that has the newest content of each, and the newest tail. Only streams without
 * XBZRLE, compression, several channels and a return path can be read.
 */
export const pageBytes = 4096;

export type RamBlock = { readonly name: string; readonly pages: number };

export type RamSink = {
  readonly prelude: (bytes: Buffer, blocks: readonly RamBlock[]) => void;
  /** `data` is only valid during the call. A page may come several times: the last one counts. */
  readonly page: (block: number, page: number, data: Buffer) => void;
  readonly zero: (block: number, page: number) => void;
  /** Only valid during the call. */
  readonly tail: (bytes: Buffer) => void;
};

const magic = 0x51_45_56_4d;
const mark = { start: 1, part: 2, end: 3, configuration: 7, footer: 0x7e } as const;
const flag = { zero: 0x02, sizes: 0x04, page: 0x08, end: 0x10, goesOn: 0x20 } as const;
const known = flag.zero | flag.sizes | flag.page | flag.end | flag.goesOn;
/** A guest's memory has a handful of blocks. */
const blocksMax = 256;

/** Thrown inside a step that needs more bytes than have come; the step is taken again when they have. */
const more = new Error("more bytes are needed");

export class RamStreamReader {
  readonly #sink: RamSink;
  #pending: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Up to here nothing is needed any more. */
  #done = 0;
  #prelude: Buffer[] = [];
  #step: () => void = () => this.#header();
  #blocks: RamBlock[] = [];
  #section = 0;
  #block = 0;
  #isLast = false;
  #inTail = false;

  constructor(sink: RamSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    if (this.#inTail) {
      this.#sink.tail(chunk);
      return;
    }
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#at = 0;
    this.#done = 0;
    try {
      while (!this.#inTail) {
        this.#step();
        this.#done = this.#at;
      }
    } catch (error) {
      if (error !== more) throw error;
      this.#at = this.#done;
    }
    const rest = this.#pending.subarray(this.#at);
    this.#pending = this.#inTail ? Buffer.alloc(0) : Buffer.from(rest);
    if (this.#inTail && rest.length > 0) this.#sink.tail(rest);
  }

  /** @throws driver_failed when the stream ended before all of memory had come. */
  end(): void {
    if (!this.#inTail) throw malformed("it ended inside the memory");
  }

  #take(size: number): Buffer {
    if (this.#pending.length - this.#at < size) throw more;
    const taken = this.#pending.subarray(this.#at, this.#at + size);
    this.#at += size;
    return taken;
  }

  #byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  #word(): number {
    return this.#take(4).readUInt32BE();
  }

  #header(): void {
    const from = this.#at;
    if (this.#word() !== magic) throw malformed("it does not begin as one");
    if (this.#word() !== 3) throw malformed("version 3 was wanted");
    if (this.#byte() !== mark.configuration) throw malformed("its configuration is missing");
    this.#take(this.#word());
    this.#prelude.push(Buffer.from(this.#pending.subarray(from, this.#at)));
    this.#step = () => this.#setup();
  }

  #setup(): void {
    const from = this.#at;
    if (this.#byte() !== mark.start) throw malformed("memory was to come first");
    this.#section = this.#word();
    const name = this.#take(this.#byte()).toString("latin1");
    this.#take(8);
    if (name !== "ram") throw malformed(`memory was to come first, not ${name}`);
    const sizes = this.#take(8).readBigUInt64BE();
    if ((sizes & BigInt(flag.sizes)) === 0n) throw malformed("its blocks' sizes are missing");
    let left = sizes & ~BigInt(pageBytes - 1);
    const blocks: RamBlock[] = [];
    while (left > 0n) {
      const block = this.#take(this.#byte()).toString("latin1");
      const size = this.#take(8).readBigUInt64BE();
      blocks.push({ name: block, pages: Number(size / BigInt(pageBytes)) });
      if (blocks.length > blocksMax || size === 0n) throw malformed("its blocks make no sense");
      left -= size;
    }
    this.#take(8);
    this.#footer();
    this.#blocks = blocks;
    this.#prelude.push(Buffer.from(this.#pending.subarray(from, this.#at)));
    this.#sink.prelude(Buffer.concat(this.#prelude), blocks);
    this.#step = () => this.#sectionBegins();
  }

  #sectionBegins(): void {
    const kind = this.#byte();
    const section = this.#word();
    if ((kind !== mark.part && kind !== mark.end) || section !== this.#section) {
      throw malformed(`a section of kind ${kind} came amid memory`);
    }
    this.#isLast = kind === mark.end;
    this.#step = () => this.#pages();
  }

  /** As many pages as have come. */
  #pages(): void {
    while (this.#page()) this.#done = this.#at;
  }

  /** Whether more may follow in this section. */
  #page(): boolean {
    const head = this.#take(8);
    const flags = head.readUInt16BE(6) & 0xf_ff;
    const page = head.readUInt32BE(0) * 2 ** 20 + (head.readUInt32BE(4) >>> 12);
    if ((flags & ~known) !== 0) throw malformed(`pages are sent in a way that is not understood (${flags})`);
    if ((flags & flag.end) !== 0) {
      this.#footer();
      this.#inTail = this.#isLast;
      this.#step = () => this.#sectionBegins();
      return false;
    }
    let block = this.#block;
    if ((flags & flag.goesOn) === 0) {
      const name = this.#take(this.#byte()).toString("latin1");
      block = this.#blocks.findIndex((one) => one.name === name);
    }
    if (page >= (this.#blocks[block]?.pages ?? 0)) throw malformed("a page lies outside of memory");
    if ((flags & flag.zero) !== 0) {
      if (this.#byte() !== 0) throw malformed("a page is filled with something else than zeros");
      this.#sink.zero(block, page);
    } else {
      const data = this.#take(pageBytes);
      this.#sink.page(block, page, data);
    }
    this.#block = block;
    return true;
  }

  #footer(): void {
    if (this.#byte() !== mark.footer || this.#word() !== this.#section)
      throw malformed("a section does not end");
  }
}

/** Writes what a reader of such a stream wants between prelude and tail. */
export class RamStreamWriter {
  readonly #blocks: readonly RamBlock[];
  readonly #section: number;
  #last = -1;

  /** `prelude` as it was read; its last section is memory's. */
  constructor(prelude: Buffer, blocks: readonly RamBlock[]) {
    this.#blocks = blocks;
    this.#section = prelude.readUInt32BE(prelude.length - 4);
  }

  begin(): Buffer {
    return this.#mark(mark.part);
  }

  /** To be followed by the page's content. */
  page(block: number, page: number): Buffer {
    return this.#head(block, page, flag.page);
  }

  zero(block: number, page: number): Buffer {
    return Buffer.concat([this.#head(block, page, flag.zero), Buffer.alloc(1)]);
  }

  /** All pages were written. */
  end(): Buffer {
    const over = Buffer.alloc(8 + 5);
    over.writeBigUInt64BE(BigInt(flag.end));
    over[8] = mark.footer;
    over.writeUInt32BE(this.#section, 9);
    return Buffer.concat([over, this.#mark(mark.end), over]);
  }

  #mark(kind: number): Buffer {
    const bytes = Buffer.alloc(5);
    bytes[0] = kind;
    bytes.writeUInt32BE(this.#section, 1);
    return bytes;
  }

  #head(block: number, page: number, flags: number): Buffer {
    const goesOn = block === this.#last;
    const name = goesOn ? "" : (this.#blocks[block]?.name ?? "");
    const head = Buffer.alloc(goesOn ? 8 : 9 + name.length);
    const low = ((page % 2 ** 20) << 12) | flags | (goesOn ? flag.goesOn : 0);
    head.writeUInt32BE(Math.floor(page / 2 ** 20), 0);
    head.writeUInt32BE(low >>> 0, 4);
    if (!goesOn) {
      head[8] = name.length;
      head.write(name, 9, "latin1");
    }
    this.#last = block;
    return head;
  }
}

function malformed(why: string): ConsortError {
  return new ConsortError(
    "driver_failed",
    `Cannot read a machine's memory: its stream is not as expected, ${why}`,
  );
}
