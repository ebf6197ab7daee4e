import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { codeOf } from "#base/errors.ts";
import { FrameReader, framesOf } from "./run-frames.ts";

const contents = fc
  .array(fc.tuple(fc.nat(9000), fc.boolean()), { maxLength: 8 })
  .map((parts) => Buffer.concat(parts.map(([length, isHole]) => Buffer.alloc(length, isHole ? 0 : 5))));

/** Cuts `bytes` at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [
    0,
    ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b),
    bytes.length,
  ];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}

test("content arrives whole through frames, wherever they are cut on their way", () => {
  fc.assert(
    fc.property(
      contents,
      fc.nat(10_000),
      fc.array(fc.nat(), { maxLength: 20 }),
      (content, position, places) => {
        const reader = new FrameReader();
        const arrived: Uint8Array[] = [];
        for (const part of cut(Buffer.concat([...framesOf(content, position)]), places)) {
          for (const run of reader.read(part)) {
            arrived.push(run.kind === "data" ? run.bytes : new Uint8Array(run.sizeBytes));
          }
        }
        assert.deepEqual(Buffer.concat(arrived), content);
      },
    ),
  );
});

test("a megabyte of nothing takes a few bytes", () => {
  const framed = Buffer.concat([...framesOf(new Uint8Array(1024 * 1024), 0)]);
  assert.ok(framed.length < 16, `${framed.length} bytes`);
});

test("what is no frame is refused", () => {
  assert.throws(
    () => [...new FrameReader().read(Buffer.from("HTTP/1.1 200 OK"))],
    (error) => codeOf(error) === "driver_failed",
  );
});
