import { ConsortError } from "#base/errors.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import { MemoryPartWriter, readMemoryPart } from "./memory-part.ts";
import type { MemoryHead, MemoryRecord } from "./memory-part.ts";
import { partContent } from "./part.ts";

/**
 * One memory from several parts, the newest first: its head, each page as the newest part that has it tells, and the
 * devices of the newest. Read back to a part that has all.
 */
export async function* mergedMemory(
  parts: readonly CheckpointPart[],
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): AsyncGenerator<readonly MemoryRecord[]> {
  const seen = new SeenPages();
  for (const [age, part] of parts.entries()) {
    for await (const records of readMemoryPart(partContent(part, blobs, signal))) {
      yield records.flatMap((record) => {
        if (record.kind === "head") {
          const isFirst = seen.begins(record);
          return isFirst ? [record] : [];
        }
        if (record.kind === "devices") return age === 0 ? [record] : [];
        return seen.unseen(record);
      });
    }
    if (seen.ends()) return;
  }
  throw new ConsortError(
    "bad_input",
    "Cannot read a machine's memory: none of its checkpoints has all of it",
  );
}

/** Within one part the last record of a page counts, so pages are only taken for seen at its end. */
class SeenPages {
  #head: MemoryHead | undefined;
  #isAll = false;
  #before: Uint8Array[] = [];
  #now: Uint8Array[] = [];

  /** Whether it is the first part, whose head counts. */
  begins(head: MemoryHead): boolean {
    const first = this.#head;
    this.#isAll = head.isAll;
    if (first !== undefined && JSON.stringify(first.blocks) !== JSON.stringify(head.blocks)) {
      throw new ConsortError(
        "bad_input",
        "Cannot read a machine's memory: its checkpoints are of different machines",
      );
    }
    if (first === undefined) {
      this.#head = head;
      this.#before = head.blocks.map(({ pages }) => new Uint8Array(pages));
    }
    this.#now = this.#before.map((pages) => Uint8Array.from(pages));
    return first === undefined;
  }

  /** What of it no newer part has. */
  unseen(record: Exclude<MemoryRecord, { kind: "head" | "devices" }>): MemoryRecord[] {
    const before = this.#before[record.block] ?? new Uint8Array();
    const now = this.#now[record.block] ?? new Uint8Array();
    if (record.kind === "page") {
      now[record.page] = 1;
      return before[record.page] === 1 ? [] : [record];
    }
    const left: { kind: "zeros"; block: number; first: number; count: number }[] = [];
    for (let page = record.first; page < record.first + record.count; page += 1) {
      now[page] = 1;
      if (before[page] === 1) continue;
      const run = left.at(-1);
      if (run !== undefined && run.first + run.count === page) run.count += 1;
      else left.push({ kind: "zeros", block: record.block, first: page, count: 1 });
    }
    return left;
  }

  /** Whether nothing older is needed. */
  ends(): boolean {
    this.#before = this.#now;
    return this.#isAll;
  }
}

/** The same memory as one part that has all. */
export async function* foldedMemory(
  parts: readonly CheckpointPart[],
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let written: Buffer[] = [];
  // What is written lasts until the next page only.
  const writer = new MemoryPartWriter((bytes) => written.push(Buffer.from(bytes)));
  const devices: Buffer[] = [];
  for await (const records of mergedMemory(parts, blobs, signal)) {
    for (const record of records) {
      if (record.kind === "head") writer.head({ ...record, isAll: true });
      else if (record.kind === "devices") devices.push(Buffer.from(record.bytes));
      else if (record.kind === "page") writer.page(record.block, record.page, record.data);
      else {
        for (let at = 0; at < record.count; at += 1) writer.zero(record.block, record.first + at);
      }
    }
    if (written.length > 0) yield Buffer.concat(written);
    written = [];
  }
  for (const bytes of devices) writer.devices(bytes);
  writer.end();
  yield Buffer.concat(written);
}
