import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "#base/errors.ts";
import { diskFactsOf } from "./disk-header.ts";

/** A qcow2 header of version 3, as QEMU's documentation describes it. */
function qcow2(change: (header: Buffer) => void = () => {}): Buffer {
  const header = Buffer.alloc(4096);
  header.writeUInt32BE(0x514649fb, 0);
  header.writeUInt32BE(3, 4);
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(1024n ** 3n, 24);
  header.writeUInt32BE(104, 100);
  change(header);
  return header;
}

test("diskFactsOf() tells qcow2 with its guest's size, and raw with its file's", () => {
  assert.deepEqual(diskFactsOf(qcow2(), 200_000), { format: "qcow2", virtualBytes: 1024 ** 3 });
  assert.deepEqual(diskFactsOf(Buffer.alloc(512), 1024), { format: "raw", virtualBytes: 1024 });
});

test("what would have QEMU read another file, or more than it should, is refused", () => {
  const hostile: Record<string, Buffer> = {
    "backing file": qcow2((header) => header.writeBigUInt64BE(512n, 8)),
    "another file": qcow2((header) => header.writeBigUInt64BE(4n, 72)),
    "names another file": qcow2((header) => {
      header.writeUInt32BE(0x44415441, 104);
      header.writeUInt32BE(8, 108);
    }),
    encrypted: qcow2((header) => header.writeUInt32BE(1, 32)),
    "not known": qcow2((header) => header.writeBigUInt64BE(1n << 40n, 72)),
    "too large": qcow2((header) => header.writeBigUInt64BE(2n ** 63n, 24)),
    version: qcow2((header) => header.writeUInt32BE(9, 4)),
    "cut off": qcow2().subarray(0, 20),
    "more than none": qcow2((header) => header.writeBigUInt64BE(0n, 24)),
  };
  for (const [why, header] of Object.entries(hostile)) {
    assert.throws(
      () => diskFactsOf(header, 200_000),
      (error) => codeOf(error) === "bad_input" && String(error).includes(why),
      why,
    );
  }
});

test("formats of others are told by their names", () => {
  for (const [text, name] of [
    ["KDMV", "VMDK"],
    ["vhdxfile", "VHDX"],
    ["<<< Oracle VM VirtualBox Disk Image >>>", "VDI"],
  ]) {
    assert.throws(() => diskFactsOf(Buffer.from(text!.padEnd(512, "\0")), 512), new RegExp(name!));
  }
  assert.throws(() => diskFactsOf(Buffer.alloc(100), 100), /blocks of 512/);
});

test("whatever a stranger's disk begins with, it is told or refused", () => {
  const header = fc
    .uint8Array({ maxLength: 300 })
    .map((rest) => Buffer.concat([qcow2().subarray(0, 8), rest]));
  fc.assert(
    fc.property(fc.oneof(header, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      try {
        assert.ok(diskFactsOf(bytes, 512 * 1000).virtualBytes > 0);
      } catch (error) {
        assert.equal(codeOf(error), "bad_input", String(error));
      }
    }),
  );
});
