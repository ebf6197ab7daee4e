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

void test("saves() does not compress what does not get smaller, nor nothing", () => {
  assert.equal(saves({ ...sample, compressedBytes: 1_000_001 }, 1e6), false);
  assert.equal(saves({ bytes: 0, compressedBytes: 0, tookMs: 0 }, 1e6), false);
});
