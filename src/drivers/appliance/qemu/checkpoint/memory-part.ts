import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { ConsortError } from "#base/errors.ts";
import { PagePacker, packedBytes, unpackedPage } from "./packed-page.ts";
import { pageBytes } from "./ram-stream.ts";
import type { RamBlock } from "./ram-stream.ts";

/**
 * A machine's memory and devices, or what has changed of them, as one sequence of records:
 *
 *   "CSTMEM2\n"  { head: blocks, prelude }  { page | packed page | zeros }*  { devices }*  { end }
 *
 * Each record: kind, block (one byte each), first page or length (4 bytes), count of pages or words (2 bytes), then its
 * content. Of several records of one page the last counts. Devices are compressed, as hardly anything in them is not
 * zero. Pages full of zeros have no content; those that were never anything
 * else are left out of an incremental part, as all unchanged ones are.
 */
const magic = Buffer.from("CSTMEM2\n");
const kind = { head: 1, page: 2, zeros: 3, end: 5, packed: 6, devices: 7 } as const;
const headBytes = 8;
const countMax = 0xff_ff;
/** Of what a record may claim to hold. */
const contentBytesMax = 16 * 1024 * 1024;

export type MemoryHead = {
  readonly blocks: readonly RamBlock[];
  readonly prelude: Buffer;
  /** Every page is in it: nothing older is needed. */
  readonly isAll: boolean;
};

export class MemoryPartWriter {
  readonly #write: (bytes: Buffer) => void;
  readonly #packer = new PagePacker();
  #zeros: { readonly block: number; readonly first: number; count: number } | undefined;

  /** What `write` gets is to be taken at once: the next page is written where this one was. */
  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  head({ blocks, prelude, isAll }: MemoryHead): void {
    const text = Buffer.from(JSON.stringify({ blocks, prelude: prelude.toString("base64"), isAll }));
    this.#write(Buffer.concat([magic, record(kind.head, 0, text.length, 0), text]));
  }

  page(block: number, page: number, data: Buffer): void {
    this.#flush();
    const packed = this.#packer.pack(data);
    this.#write(
      packed === undefined
        ? record(kind.page, block, page, 1)
        : record(kind.packed, block, page, packed.count),
    );
    this.#write(packed?.content ?? data);
  }

  zero(block: number, page: number): void {
    const run = this.#zeros;
    if (run?.block === block && run.first + run.count === page && run.count < countMax) {
      run.count += 1;
      return;
    }
    this.#flush();
    this.#zeros = { block, first: page, count: 1 };
  }

  devices(bytes: Buffer): void {
    this.#flush();
    for (let at = 0; at < bytes.length; at += contentBytesMax) {
      const some = zstdCompressSync(bytes.subarray(at, at + contentBytesMax));
      this.#write(Buffer.concat([record(kind.devices, 0, some.length, 0), some]));
    }
  }

  end(): void {
    this.#flush();
    this.#write(record(kind.end, 0, 0, 0));
  }

  #flush(): void {
    if (this.#zeros !== undefined) {
      const { block, first, count } = this.#zeros;
      this.#write(record(kind.zeros, block, first, count));
    }
    this.#zeros = undefined;
  }
}

function record(what: number, block: number, number: number, count: number): Buffer {
  const bytes = Buffer.alloc(headBytes);
  bytes[0] = what;
  bytes[1] = block;
  bytes.writeUInt32LE(number, 2);
  bytes.writeUInt16LE(count, 6);
  return bytes;
}

export type MemoryRecord =
  | ({ readonly kind: "head" } & MemoryHead)
  | { readonly kind: "page"; readonly block: number; readonly page: number; readonly data: Buffer }
  | { readonly kind: "zeros"; readonly block: number; readonly first: number; readonly count: number }
  | { readonly kind: "devices"; readonly bytes: Buffer };

/** In order, several at once. @throws bad_input when it is cut off or is something else; checked as it goes. */
export async function* readMemoryPart(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly MemoryRecord[]> {
  let pending: Buffer = Buffer.alloc(0);
  let state: PartState = { blocks: undefined, began: false, ended: false };
  for await (const chunk of content) {
    pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
    const found: MemoryRecord[] = [];
    const parsed = parseRecords(pending, state, found);
    state = parsed.state;
    pending = pending.subarray(parsed.used);
    if (found.length > 0) yield found;
  }
  if (!state.ended || pending.length > 0) throw damaged("it is cut off");
}

type PartState = {
  readonly blocks: readonly RamBlock[] | undefined;
  readonly began: boolean;
  readonly ended: boolean;
};

function parseRecords(
  bytes: Buffer,
  before: PartState,
  found: MemoryRecord[],
): { readonly used: number; readonly state: PartState } {
  let { blocks, began, ended } = before;
  let at = 0;
  if (!began) {
    if (bytes.length < magic.length) return { used: 0, state: before };
    if (bytes.compare(magic, 0, magic.length, 0, magic.length) !== 0) throw damaged("it is none");
    began = true;
    at = magic.length;
  }
  while (bytes.length - at >= headBytes) {
    if (ended) throw damaged("something follows its end");
    const [what = 0, block = 0] = [bytes[at], bytes[at + 1]];
    const number = bytes.readUInt32LE(at + 2);
    const count = bytes.readUInt16LE(at + 6);
    const size = contentOf(what, number, count);
    const from = at + headBytes;
    if (bytes.length - from < size) break;
    at = from + size;
    const content = bytes.subarray(from, at);
    if (what === kind.head) {
      const head = parseHead(content);
      blocks = head.blocks;
      found.push({ kind: "head", ...head });
    } else if (what === kind.page || what === kind.packed || what === kind.zeros) {
      const pages = what === kind.packed ? 1 : count;
      if (number + pages > (blocks?.[block]?.pages ?? 0)) throw damaged("a page lies outside of memory");
      if (what === kind.zeros) found.push({ kind: "zeros", block, first: number, count });
      else {
        const data = what === kind.packed ? unpackedPage(content, count) : content;
        if (data === undefined) throw damaged("a page makes no sense");
        found.push({ kind: "page", block, page: number, data });
      }
    } else if (what === kind.devices) found.push({ kind: "devices", bytes: devicesFrom(content) });
    else ended = true;
  }
  return { used: at, state: { blocks, began, ended } };
}

function contentOf(what: number, number: number, count: number): number {
  if (what === kind.page) return pageBytes;
  if (what === kind.packed) return packedBytes(count);
  if (what === kind.zeros || what === kind.end) return 0;
  if ((what !== kind.head && what !== kind.devices) || number > contentBytesMax) {
    throw damaged("a record makes no sense");
  }
  return number;
}

function devicesFrom(content: Buffer): Buffer {
  try {
    return zstdDecompressSync(content, { maxOutputLength: contentBytesMax });
  } catch {
    throw damaged("its devices make no sense");
  }
}

function parseHead(content: Buffer): MemoryHead {
  const head = JSON.parse(content.toString("utf8")) as Omit<MemoryHead, "prelude"> & { prelude: string };
  return { ...head, prelude: Buffer.from(head.prelude, "base64") };
}

const damaged = (why: string): ConsortError =>
  new ConsortError("bad_input", `Cannot read a checkpoint's memory: ${why}`);
