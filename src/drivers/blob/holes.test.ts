import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blockBytes, dataRuns } from "./holes.ts";

/** A chunk of blocks that are empty or not, cut anywhere, at any position of its file. */
const chunks = fc
  .record({
    blocks: fc.array(fc.constantFrom("zeros", "data", "last byte"), { maxLength: 12 }),
    cut: fc.nat(blockBytes),
    position: fc.nat(3 * blockBytes),
  })
  .map(({ blocks, cut, position }) => {
    const whole = Buffer.concat(
      blocks.map((kind) => {
        const block = Buffer.alloc(blockBytes, kind === "data" ? 7 : 0);
        if (kind === "last byte") block[blockBytes - 1] = 1;
        return block;
      }),
    );
    return { chunk: whole.subarray(Math.min(cut, whole.length)), position };
  });

test("dataRuns() written over zeros give the chunk", () => {
  fc.assert(
    fc.property(chunks, ({ chunk, position }) => {
      const file = Buffer.alloc(position + chunk.length);
      for (const { at, bytes } of dataRuns(chunk, position)) file.set(bytes, at);
      assert.deepEqual(file.subarray(position), Buffer.from(chunk));
      assert.ok(file.subarray(0, position).every((byte) => byte === 0));
    }),
  );
});

test("dataRuns() leaves out every whole block of zeros", () => {
  fc.assert(
    fc.property(chunks, ({ chunk, position }) => {
      for (const { at, bytes } of dataRuns(chunk, position)) {
        const firstBlock = Math.ceil(at / blockBytes) * blockBytes - at;
        for (let block = firstBlock; block + blockBytes <= bytes.length; block += blockBytes) {
          assert.ok(bytes.subarray(block, block + blockBytes).some((byte) => byte !== 0));
        }
      }
    }),
  );
});

test("a chunk of zeros alone is not written", () => {
  assert.deepEqual([...dataRuns(Buffer.alloc(5 * blockBytes), blockBytes)], []);
});
