import assert from "node:assert/strict";
import { test } from "node:test";
import { baseRuleset, cardCommands, elementCommands } from "./ruleset.ts";

const nothing = {
  addedPairs: [],
  removedPairs: [],
  addedSources: [],
  removedSources: [],
  addedAskers: [],
  removedAskers: [],
};
const base = baseRuleset({ mark: "cst", uplink: "uplink", minorMin: 0x10, minorMax: 0xffff });

const classes = { numbers: new Map([["a . b", 0x10]]), moved: [], sharedMinor: 2 };

test("nothing changed means nothing to say to the kernel", () => {
  assert.equal(elementCommands(nothing, classes), "");
});

test("pairs are permitted together with their class, and removed before others are added", () => {
  const change = { ...nothing, addedPairs: ["a . b", "e . f"], removedPairs: ["c . d"] };
  assert.deepEqual(elementCommands(change, classes).split("\n"), [
    "delete element bridge consort pairs { c . d }",
    "add element bridge consort pairs { a . b : c057:10, e . f : c057:2 }",
  ]);
});

test("a pair that gets another class is replaced", () => {
  assert.deepEqual(elementCommands(nothing, { ...classes, moved: ["a . b"] }).split("\n"), [
    "delete element bridge consort pairs { a . b }",
    "add element bridge consort pairs { a . b : c057:10 }",
  ]);
});

test("cards are told as DHCP names them, also those of an earlier process, which must be there to be removed", () => {
  const asker = (number: number, address: string): string =>
    `cstp${number} . 02:00:00:00:00:0${number} . ${address}`;
  const [old, stale, fresh] = [asker(1, "0.0.0.0"), asker(2, "0.0.0.0"), asker(3, "0.0.0.0")];
  const change = { ...nothing, removedAskers: [stale], addedAskers: [fresh, asker(3, "10.0.0.1")] };
  assert.deepEqual(cardCommands(change, [old, stale]).split("\n"), [
    "add element bridge consort cards { cstp1 . 0x020000000001, cstp2 . 0x020000000002 }",
    "delete element bridge consort cards { cstp2 . 0x020000000002 }",
    "add element bridge consort cards { cstp3 . 0x020000000003 }",
  ]);
  assert.equal(cardCommands(nothing, []), "");
});

test("ten thousand elements are spread over commands the kernel takes", () => {
  const addedPairs = Array.from({ length: 10_000 }, (_each, at) => `a . ${at}`);
  const commands = elementCommands({ ...nothing, addedPairs }, classes).split("\n");
  assert.equal(commands.length, 20);
  assert.equal(commands.join("").match(/a \. \d+/g)?.length, 10_000);
});

test("the rules do not grow with appliances, and stand before those of the IP packet filter", () => {
  assert.ok(base.split("\n").length < 60);
  for (const hook of ["forward", "input", "output"]) {
    assert.match(base, new RegExp(`hook ${hook} priority -200`));
  }
});
