import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { closest, editDistance } from "#formats/suggestion.ts";

test("slips of the hand are recognised, other words are not", () => {
  const known = ["appliances", "networks", "links", "placement"];
  assert.equal(closest("aplliances", known), "appliances");
  assert.equal(closest("Links", known), "links");
  assert.equal(closest("netwroks", known), "networks");
  assert.equal(closest("volumes", known), undefined);
  assert.equal(closest("dbb", ["web", "db"]), "db");
});

test("the distance is symmetric, zero only for the same, and never above the longer length", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b);
      assert.equal(distance, editDistance(b, a));
      assert.equal(distance === 0, a === b);
      assert.ok(distance <= Math.max(a.length, b.length));
    }),
  );
});
