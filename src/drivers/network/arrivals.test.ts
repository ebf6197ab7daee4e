import assert from "node:assert/strict";
import { test } from "node:test";
import { arrivalsRuleset } from "./arrivals.ts";

const arrivals = {
  pairs: new Map([["a . b", 0x10]]),
  receivers: new Map([["c", 0xe001]]),
  everything: false,
};
const lines = (...options: Parameters<typeof arrivalsRuleset>): readonly string[] =>
  arrivalsRuleset(...options).split("\n");

test("frames with a class of their own are sorted, all others only when something is guaranteed", () => {
  const some = lines(arrivals, ["cstv51"], "cstifb");
  assert.equal(some.filter((line) => line.includes("fwd to")).length, 2);
  assert.ok(some.includes("add element netdev consort pairs { a . b : c057:10 }"));
  assert.ok(some.includes("add element netdev consort receivers { c : c057:e001 }"));
  const all = lines({ ...arrivals, everything: true }, ["cstv51"], "cstifb");
  assert.ok(all.includes('add rule netdev consort sort fwd to "cstifb"'));
});

test("every tunnel end is looked at, by the same rules", () => {
  const many = lines(arrivals, ["cstv1", "cstv2"], "cstifb");
  assert.equal(many.filter((line) => line.endsWith("goto sort")).length, 2);
});

test("with nothing to sort there is no table", () => {
  const gone = ["add table netdev consort", "delete table netdev consort"];
  assert.deepEqual(lines(undefined, ["cstv51"], "cstifb"), gone);
  assert.deepEqual(lines(arrivals, [], "cstifb"), gone);
});
