import assert from "node:assert/strict";
import { test } from "node:test";
import { baseRuleset, elementCommands } from "./ruleset.ts";

const nothing = { addedPairs: [], removedPairs: [], addedSources: [], removedSources: [] };
const base = baseRuleset({ mark: "cst", uplink: "uplink", minorMin: 0x10, minorMax: 0xffff });

test("nothing changed means nothing to say to the kernel", () => {
  assert.equal(elementCommands(nothing, { set: new Map(), cleared: [] }), "");
});

test("classes are cleared before and set after the permissions of a transaction", () => {
  const commands = elementCommands(
    { ...nothing, addedPairs: ["a . b"], removedPairs: ["c . d"] },
    { set: new Map([["a . b", 0x10]]), cleared: ["c . d"] },
  ).split("\n");
  assert.deepEqual(commands, [
    "delete element bridge consort classes { c . d }",
    "delete element bridge consort pairs { c . d }",
    "add element bridge consort pairs { a . b }",
    "add element bridge consort classes { a . b : c057:10 }",
  ]);
});

test("ten thousand elements are spread over commands the kernel takes", () => {
  const addedPairs = Array.from({ length: 10_000 }, (_each, at) => `a . ${at}`);
  const commands = elementCommands({ ...nothing, addedPairs }, { set: new Map(), cleared: [] }).split("\n");
  assert.equal(commands.length, 20);
  assert.equal(commands.join("").match(/a \. \d+/g)?.length, 10_000);
});

test("the rules do not grow with appliances, and stand before those of the IP packet filter", () => {
  assert.ok(base.split("\n").length < 40);
  for (const hook of ["forward", "input", "output"]) {
    assert.match(base, new RegExp(`hook ${hook} priority -200`));
  }
});
