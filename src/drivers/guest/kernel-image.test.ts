import assert from "node:assert/strict";
import { test } from "node:test";
import { unpackedKernel } from "./kernel-image.ts";
import { isLz4, unpackLz4 } from "./lz4.ts";

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** A frame of one block that holds the content as it is. */
function packed(content: Buffer): Buffer {
  const more = content.length - 15;
  const length = [...Array.from({ length: Math.floor(more / 255) }, () => 255), more % 255];
  const block = Buffer.concat([Buffer.from([0xf0, ...length]), content]);
  return Buffer.concat([word(0x184c2102), word(block.length), block, word(content.length)]);
}

type Part = { readonly kind: number; readonly content: Buffer; readonly memoryBytes: number };

function elf(parts: readonly Part[]): Buffer {
  const header = Buffer.alloc(64);
  header.write("7f454c46020101", "hex");
  header.writeBigUInt64LE(64n, 0x20);
  header.writeBigUInt64LE(12_345n, 0x28);
  header.writeUInt16LE(parts.length, 0x38);
  let at = 64 + parts.length * 56;
  const headers = parts.map(({ kind, content, memoryBytes }, index) => {
    const one = Buffer.alloc(56);
    one.writeUInt32LE(kind, 0);
    one.writeBigUInt64LE(BigInt(at), 8);
    one.writeBigUInt64LE(BigInt(index + 1), 0x18);
    one.writeBigUInt64LE(BigInt(content.length), 0x20);
    one.writeBigUInt64LE(BigInt(memoryBytes), 0x28);
    at += content.length;
    return one;
  });
  return Buffer.concat([header, ...headers, ...parts.map(({ content }) => content)]);
}

/** As the boot protocol has it: one sector of setup behind the first, then the rest. */
function bzImage(payload: Buffer): Buffer {
  const head = Buffer.alloc(1024);
  head[0x1f1] = 1;
  head.write("HdrS", 0x202, "latin1");
  head.writeUInt32LE(8, 0x248);
  head.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([head, Buffer.alloc(8), payload, Buffer.from("behind")]);
}

const note = (type: number): Buffer =>
  Buffer.concat([word(4), word(8), word(type), Buffer.from("Xen\0"), word(0x1000000), word(0)]);
const text = Buffer.alloc(100, "kernel");
const data = Buffer.concat([Buffer.from("variable"), Buffer.alloc(4000)]);
const program = (type = 18): Buffer =>
  elf([
    { kind: 1, content: text, memoryBytes: text.length },
    { kind: 7, content: Buffer.from("passed over"), memoryBytes: 11 },
    { kind: 1, content: data, memoryBytes: 9000 },
    { kind: 4, content: Buffer.concat([note(6), note(type)]), memoryBytes: 56 },
  ]);

test("a packed kernel becomes its program, with what is loaded and without the zeros it ends with", () => {
  const kernel = unpackedKernel(bzImage(packed(program())));
  assert.equal(kernel.toString("latin1", 1, 4), "ELF");
  const segments = Array.from({ length: kernel.readUInt16LE(0x38) }, (_, index) => {
    const at = 64 + index * 56;
    const from = Number(kernel.readBigUInt64LE(at + 8));
    const fileBytes = Number(kernel.readBigUInt64LE(at + 0x20));
    return {
      kind: kernel.readUInt32LE(at),
      address: kernel.readBigUInt64LE(at + 0x18),
      memoryBytes: Number(kernel.readBigUInt64LE(at + 0x28)),
      content: kernel.subarray(from, from + fileBytes),
    };
  });
  assert.deepEqual(segments, [
    { kind: 1, address: 1n, memoryBytes: 100, content: text },
    { kind: 1, address: 3n, memoryBytes: 9000, content: Buffer.from("variable") },
    { kind: 4, address: 4n, memoryBytes: 56, content: Buffer.concat([note(6), note(18)]).subarray(0, 48) },
  ]);
  assert.equal(kernel.readBigUInt64LE(0x28), 0n);
});

test("a kernel that is packed otherwise, or tells no entry, stays as it is", () => {
  for (const kernel of [
    Buffer.from("short"),
    bzImage(Buffer.from("\x1f\x8b of another kind")),
    bzImage(packed(program(17))),
    bzImage(packed(Buffer.from("no program at all, whatever it may be"))),
  ])
    assert.equal(unpackedKernel(kernel), kernel);
});

test("what an LZ4 block repeats may overlap with what it makes", () => {
  // "ab", then 4 + 3 bytes from two back, then 4 + 15 + 2 from one back, then "c".
  const block = Buffer.from([0x23, 0x61, 0x62, 2, 0, 0x0f, 1, 0, 2, 0x10, 0x63]);
  const frame = Buffer.concat([word(0x184c2102), word(block.length), block]);
  assert.ok(isLz4(frame));
  assert.equal(unpackLz4(frame).toString(), `ababababa${"a".repeat(21)}c`);
});

test("a damaged LZ4 block is refused, whatever is wrong with it", () => {
  for (const block of [
    [0x20, 0x61],
    [0x10, 0x61, 2, 0],
    [0x10, 0x61, 0, 0],
    [0x1f, 0x61, 1, 0, 255],
    [0x1f, 0x61, 1],
  ]) {
    const frame = Buffer.concat([word(0x184c2102), word(block.length), Buffer.from(block)]);
    assert.throws(() => unpackLz4(frame), RangeError, String(block));
  }
});
