import assert from "node:assert/strict";
import test from "node:test";
import { saves } from "./compression.ts";

const sample = { bytes: 1_000_000, compressedBytes: 400_000, tookMs: 4 };

void test("saves() compresses for a target slower than the compressor", () => {
  assert.equal(saves(sample, 100e6), true);
});

void test("saves() sends as it is what the target takes in quicker than it can be compressed", () => {
  assert.equal(saves(sample, 1e9), false);
});

void test("saves() does not compress nothing", () => {
  assert.equal(saves({ bytes: 0, compressedBytes: 0, tookMs: 0 }, 1e6), false);
});

void test("saves() compresses what follows a sample that does not get smaller where that costs no time", () => {
  const random = { ...sample, compressedBytes: 1_000_001 };
  assert.equal(saves(random, 100e6), true);
  // As quick as the target: other content could take longer than sending it.
  assert.equal(saves(random, 200e6), false);
});
