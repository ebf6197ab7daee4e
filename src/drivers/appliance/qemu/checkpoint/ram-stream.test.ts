import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { pageBytes, RamStreamReader, RamStreamWriter } from "./ram-stream.ts";
import type { RamBlock } from "./ram-stream.ts";

const blocks: readonly RamBlock[] = [
  { name: "pc.ram", pages: 64 },
  { name: "pc.bios", pages: 8 },
];
const section = 2;

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const long = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
const named = (name: string): Buffer => Buffer.concat([Buffer.from([name.length]), Buffer.from(name)]);

/** As QEMU 7.2 begins one. */
function prelude(of: readonly RamBlock[] = blocks): Buffer {
  const all = of.reduce((sum, { pages }) => sum + pages * pageBytes, 0);
  return Buffer.concat([
    Buffer.from("QEVM"),
    word(3),
    Buffer.from([7]),
    word(10),
    Buffer.from("pc-q35-7.2"),
    Buffer.from([1]),
    word(section),
    named("ram"),
    word(0),
    word(4),
    long(all | 4),
    ...of.flatMap(({ name, pages }) => [named(name), long(pages * pageBytes)]),
    long(0x10),
    Buffer.from([0x7e]),
    word(section),
  ]);
}

type Sent = { readonly block: number; readonly page: number; readonly fill: number };

const sent = fc.array(
  fc.record(
    { block: fc.nat(1), page: fc.nat(7), fill: fc.constantFrom(0, 1, 200) },
    { noNullPrototype: true },
  ),
  { maxLength: 20 },
);

function streamOf(pages: readonly Sent[], tail: Buffer): Buffer {
  const writer = new RamStreamWriter(prelude(), blocks);
  const parts = pages.map(({ block, page, fill }) =>
    fill === 0
      ? writer.zero(block, page)
      : Buffer.concat([writer.page(block, page), Buffer.alloc(pageBytes, fill)]),
  );
  return Buffer.concat([prelude(), writer.begin(), ...parts, writer.end(), tail]);
}

function read(chunks: readonly Buffer[]): { pages: Sent[]; tail: string; blocks: readonly RamBlock[] } {
  const pages: Sent[] = [];
  const tail: Buffer[] = [];
  let found: readonly RamBlock[] = [];
  const reader = new RamStreamReader({
    prelude: (_bytes, of) => (found = of),
    page: (block, page, data) => pages.push({ block, page, fill: data[17] ?? -1 }),
    zero: (block, page) => pages.push({ block, page, fill: 0 }),
    tail: (bytes) => tail.push(Buffer.from(bytes)),
  });
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return { pages, tail: Buffer.concat(tail).toString(), blocks: found };
}

void test("what is written is read, however it is cut into pieces", () => {
  fc.assert(
    fc.property(sent, fc.array(fc.integer({ min: 1, max: 9000 }), { maxLength: 12 }), (pages, sizes) => {
      const stream = streamOf(pages, Buffer.from("devices"));
      const chunks: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      chunks.push(stream.subarray(at));
      assert.deepEqual(read(chunks), { pages, tail: "devices", blocks });
    }),
  );
});

void test("a stream that ends inside the memory is refused", () => {
  const stream = streamOf([{ block: 0, page: 1, fill: 3 }], Buffer.alloc(0));
  assert.throws(() => read([stream.subarray(0, stream.length - 20)]), /ended inside the memory/);
});

void test("pages outside of memory, and ways of sending that are not understood, are refused", () => {
  const outside = new RamStreamWriter(prelude(), blocks);
  const page = Buffer.concat([outside.begin(), outside.page(1, 8), Buffer.alloc(pageBytes)]);
  assert.throws(() => read([prelude(), page]), /outside of memory/);
  const compressed = Buffer.concat([outside.begin(), long(0x100)]);
  assert.throws(() => read([prelude(), compressed]), /not understood/);
  assert.throws(() => read([Buffer.from("something else entirely")]), /does not begin as one/);
});
