import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { macAddress } from "#base/ids.ts";
import { allOf, assignNumbers, assignSlots, minorMax, minorMin, restOf, slotOf } from "./class-numbers.ts";
import { networkLimits } from "./limits.ts";

const { shapedPairsMax, trafficClassesMax: slotsMax } = networkLimits;

const macOf = (number: number) =>
  macAddress(
    `02:c0:00:00:${(number >> 8).toString(16).padStart(2, "0")}:${(number & 0xff).toString(16).padStart(2, "0")}`,
  );

test("pairs keep their numbers, and no number is given twice", () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 20 });
  fc.assert(
    fc.property(names, names, (before, after) => {
      const first = assignNumbers(before, new Map());
      const second = assignNumbers(after, first);
      for (const pair of after) {
        const kept = first.get(pair);
        const now = second.get(pair);
        assert.ok(now !== undefined && now >= minorMin);
        if (kept === undefined)
          assert.ok(![...first.values()].includes(now), "a number was used a moment ago");
        else assert.equal(now, kept);
      }
      assert.equal(new Set(second.values()).size, after.length);
    }),
  );
});

test("appliances keep their slots, whichever of their addresses is known, and share none", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 12 });
  fc.assert(
    fc.property(numbers, numbers, (before, after) => {
      const macsOf = (number: number) => [macOf(number), macOf(number + 100)];
      const first = assignSlots(before.map(macsOf), new Map());
      const halfKnown = new Map(
        [...first].filter(([mac]) => before.some((each) => macOf(each + 100) === mac)),
      );
      const second = assignSlots(after.map(macsOf), halfKnown);
      for (const number of after) {
        assert.equal(second.get(macOf(number)), second.get(macOf(number + 100)));
        if (before.includes(number)) assert.equal(second.get(macOf(number)), first.get(macOf(number)));
      }
      assert.equal(new Set(second.values()).size, after.length);
    }),
  );
});

test("a class number tells the slot it belongs to", () => {
  for (const slot of [0, 1, slotsMax - 1]) {
    assert.equal(slotOf(allOf(slot)), slot);
    assert.equal(slotOf(restOf(slot)), slot);
    assert.ok(restOf(slot) <= 0xffff, "numbers have 16 bits");
  }
  assert.equal(slotOf(minorMin), undefined);
});

test("one pair more than there are numbers for is refused", () => {
  const pairs = Array.from({ length: shapedPairsMax }, (_each, at) => String(at));
  assert.equal(assignNumbers(pairs, new Map()).get(String(shapedPairsMax - 1)), minorMax);
  assert.equal(slotOf(minorMax), undefined);
  assert.throws(() => assignNumbers([...pairs, "more"], new Map()), { code: "limit_exceeded" });
});

test("one appliance more than a host has slots for is refused", () => {
  const macs = Array.from({ length: slotsMax }, (_each, at) => [macOf(at)]);
  assert.equal(assignSlots(macs, new Map()).size, slotsMax);
  assert.throws(() => assignSlots([...macs, [macOf(slotsMax)]], new Map()), { code: "limit_exceeded" });
});
