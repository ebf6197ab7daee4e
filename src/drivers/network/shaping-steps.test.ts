import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bestEffortMinor, classKey, allOf, minorMin, restOf } from "./class-numbers.ts";
import { classTree } from "./class-tree.ts";
import type { LinkTree, WantedClass } from "./class-tree.ts";
import { changeSteps, dropSteps } from "./shaping-steps.ts";
import type { KnownClass, ShapingStep } from "./shaping-steps.ts";

const trunk = { paceBps: 99e6, bestEffortBps: 1e6 };
const pair = "a . b";
const numbers = new Map([[classKey(pair, undefined), minorMin]]);
const treeOf = (...shares: readonly number[]): LinkTree =>
  classTree(
    trunk,
    shares.map((rateBps, slot) => ({ slot, rateBps, priority: slot })),
    [],
    numbers,
  );
const withPair = (rateBps: number): LinkTree =>
  classTree(trunk, [], [{ pair, rateBps, priority: 4 }], numbers);
const minors = (steps: readonly ShapingStep[]): readonly number[] =>
  steps.flatMap((step) => ("minor" in step ? [step.minor] : []));

test("one changed rate is one step", () => {
  const { shrinks, grows } = changeSteps(withPair(20e6), withPair(10e6));
  assert.deepEqual([shrinks, minors(grows)], [[], [minorMin]]);
  assert.deepEqual(dropSteps(withPair(20e6), withPair(10e6)), []);
});

test("classes nobody wants are dropped, and the hierarchy with the last of them", () => {
  assert.deepEqual(dropSteps(treeOf(), withPair(10e6)), [{ step: "drop", minor: minorMin }]);
  assert.deepEqual(dropSteps(undefined, withPair(10e6)), [{ step: "drop-root" }]);
});

test("an appliance's own class goes after those within it", () => {
  assert.deepEqual(minors(dropSteps(treeOf(), treeOf(5e6))), [restOf(0), allOf(0)]);
});

test("a link without classes gets its hierarchy first, with the class for all that has none", () => {
  const [first] = changeSteps(treeOf(), undefined).grows;
  assert.deepEqual(first, { step: "root", defaultMinor: bestEffortMinor });
});

test("a class that a killed manager left elsewhere in the tree is made anew", () => {
  const left = new Map<number, KnownClass>(withPair(10e6));
  const found = left.get(minorMin);
  assert.ok(found);
  left.set(minorMin, { ...found, parent: allOf(3) });
  const { grows } = changeSteps(withPair(10e6), left);
  assert.deepEqual(
    grows.map(({ step }) => step),
    ["drop", "set"],
  );
});

test("while rates change, never more is promised than before or after, at any moment and at any level", () => {
  const rates = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(rates, rates, (before, after) => {
      const from = treeOf(...before.map((each) => each * 1e6));
      const to = treeOf(...after.map((each) => each * 1e6));
      const now = new Map<number, KnownClass>(from);
      const promised = (tree: ReadonlyMap<number, KnownClass>, of: (minor: number) => number): number =>
        before.reduce((sum, _each, slot) => sum + (tree.get(of(slot))?.rateBytes ?? 0), 0);
      const { shrinks, grows } = changeSteps(to, from);
      for (const step of [...shrinks, ...grows]) {
        assert.ok(step.step === "set");
        now.set(step.minor, step.class);
        for (const minorOf of [allOf, restOf]) {
          assert.ok(promised(now, minorOf) <= Math.max(promised(from, minorOf), promised(to, minorOf)));
        }
        for (const slot of before.keys()) {
          const rest = now.get(restOf(slot))?.rateBytes ?? 0;
          assert.ok(
            rest <= (now.get(allOf(slot))?.rateBytes ?? 0),
            "a part is never promised more than the whole",
          );
        }
      }
      const rateOf = ({ rateBytes }: KnownClass | WantedClass): number => rateBytes;
      assert.deepEqual([...now.values()].map(rateOf), [...to.values()].map(rateOf));
    }),
  );
});
