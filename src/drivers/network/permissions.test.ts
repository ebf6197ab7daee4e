import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ipv4Address, macAddress } from "#base/ids.ts";
import { exampleGuest, examplePlan } from "./example-plan.ts";
import { turnPage } from "./permissions.ts";
import type { PermissionBook } from "./permissions.ts";

const guestOf = (number: number) => exampleGuest(number, number % 2 === 0 ? "172.30.0.2" : "172.30.0.1");
const planOf = (...numbers: number[]) => examplePlan(numbers.map(guestOf));
const empty: PermissionBook = new Map();

test("any two members may talk when one of them is here, and nobody else", () => {
  const { change } = turnPage("cst", empty, planOf(1, 2, 4));
  assert.deepEqual(change.addedPairs.toSorted(), [
    "02:c0:00:00:00:01 . 02:c0:00:00:00:02",
    "02:c0:00:00:00:01 . 02:c0:00:00:00:04",
    "02:c0:00:00:00:02 . 02:c0:00:00:00:01",
    "02:c0:00:00:00:04 . 02:c0:00:00:00:01",
  ]);
  assert.deepEqual(
    change.addedSources.map((source) => source.split(" . ").slice(1)),
    [["02:c0:00:00:00:01", "10.77.0.1"]],
  );
});

test("an unchanged plan changes nothing and is not worked out again", () => {
  const first = turnPage("cst", empty, planOf(1, 2, 3));
  const second = turnPage("cst", first.book, planOf(3, 1, 2));
  assert.deepEqual(second.change, {
    addedPairs: [],
    removedPairs: [],
    addedSources: [],
    removedSources: [],
    addedAskers: [],
    removedAskers: [],
  });
  assert.equal([...second.book.values()][0], [...first.book.values()][0]);
});

test("applying every change in turn leaves exactly what the last plan permits", () => {
  const plans = fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 6 }), { maxLength: 6 });
  fc.assert(
    fc.property(plans, (list) => {
      let book = empty;
      const kernel = new Set<string>();
      for (const numbers of list) {
        const page = turnPage("cst", book, planOf(...numbers));
        for (const element of [...page.change.removedPairs, ...page.change.removedSources]) {
          assert.ok(kernel.delete(element), `${element} is removed though it is not there`);
        }
        for (const element of [...page.change.addedPairs, ...page.change.addedSources]) {
          assert.ok(!kernel.has(element), `${element} is added twice`);
          kernel.add(element);
        }
        book = page.book;
      }
      const fresh = turnPage("cst", empty, planOf(...(list.at(-1) ?? []))).change;
      assert.deepEqual([...kernel].toSorted(), [...fresh.addedPairs, ...fresh.addedSources].toSorted());
    }),
  );
});

test("who is here may ask where its names are served, with its address and before it has one", () => {
  const plan = planOf(1, 2);
  const naming = {
    address: ipv4Address("10.77.255.1"),
    mac: macAddress("02:00:00:51:00:01"),
    prefixLength: 16,
    domain: "shop.consort",
  };
  const served = { ...plan, segments: plan.segments.map((segment) => ({ ...segment, naming })) };
  const first = turnPage("cst", empty, served);
  assert.deepEqual(
    first.change.addedAskers.map((asker) => asker.split(" . ").slice(1)),
    [
      ["02:c0:00:00:00:01", "0.0.0.0"],
      ["02:c0:00:00:00:01", "10.77.255.1"],
    ],
  );
  assert.deepEqual(first.change.addedPairs.length, 2);
  const without = turnPage("cst", first.book, plan);
  assert.deepEqual(without.change.removedAskers, first.change.addedAskers);
});
