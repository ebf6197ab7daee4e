import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { MemoryPartWriter, readMemoryPart } from "./memory-part.ts";
import type { MemoryRecord } from "./memory-part.ts";
import { pageBytes } from "./ram-stream.ts";

const blocks = [{ name: "pc.ram", pages: 100_000 }];
const head = { blocks, prelude: Buffer.from("prelude"), isAll: true };

function written(fill: (part: MemoryPartWriter) => void): Buffer {
  const chunks: Buffer[] = [];
  const part = new MemoryPartWriter((bytes) => chunks.push(Buffer.from(bytes)));
  part.head(head);
  fill(part);
  part.end();
  return Buffer.concat(chunks);
}

async function read(content: Buffer, pieceBytes = 1000): Promise<MemoryRecord[]> {
  const found: MemoryRecord[] = [];
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes);
  }
  for await (const records of readMemoryPart(pieces())) {
    for (const record of records) {
      found.push(record.kind === "page" ? { ...record, data: Buffer.from(record.data) } : record);
    }
  }
  return found;
}

void test("readMemoryPart() gives what was written, in order, runs of zeros in one", async () => {
  const data = Buffer.alloc(pageBytes, 9);
  const content = written((part) => {
    part.page(0, 5, data);
    for (let page = 6; page < 90; page += 1) part.zero(0, page);
    part.page(0, 5, data);
    part.devices(Buffer.from("devices"));
  });
  assert.deepEqual(await read(content), [
    { kind: "head", ...head },
    { kind: "page", block: 0, page: 5, data },
    { kind: "zeros", block: 0, first: 6, count: 84 },
    { kind: "page", block: 0, page: 5, data },
    { kind: "devices", bytes: Buffer.from("devices") },
  ]);
  assert.ok(content.length < 2.1 * pageBytes);
});

void test("readMemoryPart() refuses one that is cut off at any byte", async () => {
  const content = written((part) => {
    part.page(0, 1, Buffer.alloc(pageBytes, 1));
    part.zero(0, 2);
    part.devices(Buffer.from("devices"));
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(content.length - 1), async (size) => {
      await assert.rejects(read(content.subarray(0, size)), { code: "bad_input" });
    }),
  );
});

void test("readMemoryPart() refuses pages outside of memory", async () => {
  const content = written((part) => part.zero(0, 100_000));
  await assert.rejects(read(content), /outside of memory/);
});
