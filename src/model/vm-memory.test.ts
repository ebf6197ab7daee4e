import assert from "node:assert/strict";
import { test } from "node:test";
import { mebibytes } from "#base/units.ts";
import { hostMemoryOf, translationBytes } from "#model/vm-memory.ts";

test("translationBytes() grows with the guest's memory up to a limit, and with its processors", () => {
  assert.equal(translationBytes(mebibytes(128), 1), mebibytes(32));
  assert.equal(translationBytes(mebibytes(516), 1), mebibytes(65));
  assert.equal(translationBytes(mebibytes(8192), 1), mebibytes(128));
  assert.equal(translationBytes(mebibytes(128), 4), mebibytes(64));
});

test("hostMemoryOf() is more than the guest's memory", () => {
  assert.equal(hostMemoryOf({ memoryBytes: mebibytes(128), vcpusMax: 1 }), mebibytes(128 + 64 + 32));
});
