import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { exactly, isFlag, isNumber, isText, listOf, mapOf, oneOf, optional, shape } from "#base/shape.ts";

describe("shape()", () => {
  const guard = shape({ name: isText, size: optional(isNumber) });

  it("wants every field in its form, and lets others be", () => {
    assert.equal(guard({ name: "a" }), true);
    assert.equal(guard({ name: "a", size: 1, more: true }), true);
    assert.equal(guard({ name: 1 }), false);
    assert.equal(guard({ name: "a", size: "1" }), false);
  });

  it("takes nothing but objects", () => {
    for (const value of [undefined, null, "name", 7, ["name"]]) assert.equal(guard(value), false);
  });
});

describe("exactly()", () => {
  it("refuses fields it does not know, those every object has among them", () => {
    const guard = exactly({ on: isFlag });
    assert.equal(guard({ on: true }), true);
    assert.equal(guard({ on: true, off: false }), false);
    assert.equal(guard({ on: true, toString: 1 }), false);
  });
});

describe("oneOf(), listOf() and mapOf()", () => {
  it("look at every value", () => {
    assert.equal(oneOf("created", "running")("running"), true);
    assert.equal(oneOf("created", "running")("gone"), false);
    assert.equal(listOf(isText)(["a", "b"]), true);
    assert.equal(listOf(isText)(["a", 2]), false);
    assert.equal(listOf(isText)({ length: 0 }), false);
    assert.equal(mapOf(isText)({ a: "1" }), true);
    assert.equal(mapOf(isText)({ a: 1 }), false);
    assert.equal(mapOf(isText)([]), false);
  });
});
