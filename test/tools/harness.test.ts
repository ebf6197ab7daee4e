import assert from "node:assert/strict";
import { test } from "node:test";
import { median, quantile } from "#base/quantiles.ts";
import { formatTable, range } from "../../bench/harness.ts";

test("median() is the middle value, or the mean of the middle two, in any order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([10, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test("quantile() reaches from the smallest to the largest value", () => {
  assert.equal(quantile([30, 10, 20], 0), 10);
  assert.equal(quantile([30, 10, 20], 1), 30);
  assert.equal(quantile([10, 20], 0.25), 12.5);
});

test("range() gives median and extremes, and leaves the values alone", () => {
  const values = [5, 1, 9];
  assert.deepEqual(range(values), { value: 5, low: 1, high: 9 });
  assert.deepEqual(values, [5, 1, 9]);
});

test("formatTable() aligns figures and shouts where an aim was missed", () => {
  const row = { metric: "loss", unit: "%", reference: "6.2", aim: "< 1" };
  const table = formatTable([
    { case: "10 pairs", ...row, value: 0.1234, low: 0, high: 0.5, ok: true },
    { case: "100 pairs", ...row, value: 12, low: 9.87654, high: 123.4, ok: false },
  ]);
  assert.equal(
    table,
    [
      "case       metric  value   low  high  unit  reference  aim  ok",
      "---------  ------  -----  ----  ----  ----  ---------  ---  ---",
      "10 pairs   loss    0.123     0   0.5  %     6.2        < 1  yes",
      "100 pairs  loss       12  9.88   123  %     6.2        < 1  NO",
    ].join("\n"),
  );
});
