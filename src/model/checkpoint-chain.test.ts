import assert from "node:assert/strict";
import test from "node:test";
import { blobsOfAll, chainOf, retention } from "#model/checkpoint-chain.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import { sampleCheckpoint } from "#model/sample-vm.ts";

const one = (id: string, after?: string): Checkpoint =>
  sampleCheckpoint(id, after === undefined ? {} : { after });
const taken = [one("a"), one("b", "a"), one("c", "b"), one("d", "c"), one("e", "d")];
const ids = (of: readonly Checkpoint[] | undefined): string | undefined => of?.map(({ id }) => id).join("");

void test("chainOf() leads back to a full one, and is undefined when one of them is missing", () => {
  assert.equal(ids(chainOf("c", taken)), "cba");
  assert.equal(chainOf("c", taken.slice(1)), undefined);
  assert.equal(chainOf("z", taken), undefined);
  assert.equal(chainOf("x", [one("x", "y"), one("y", "x")]), undefined);
});

void test("retention() keeps the newest, and what they need", () => {
  const full = [...taken, one("f"), one("g", "f")];
  assert.equal(ids(retention(full, 2, 9).needed), "fg");
  assert.equal(ids(retention(taken, 2, 9).needed), "abcde");
});

void test("retention() has the oldest that is kept made a full one when its chain has grown long", () => {
  assert.equal(retention(taken, 2, 3).fold?.id, "d");
  assert.equal(retention(taken, 2, 4).fold, undefined);
});

void test("blobsOfAll() names shared content once", () => {
  assert.equal(blobsOfAll([one("a"), one("a"), one("b")]).length, 2);
});
