import assert from "node:assert/strict";
import { test } from "node:test";
import { micros } from "#base/units.ts";
import { chooseQuantum } from "./choose-quantum.ts";
import { machine, team } from "./reservation-fixture.ts";

test("the quantum divides all periods and execution times, those of teams too", () => {
  assert.equal(chooseQuantum([machine("gold", 16, 40), machine("best-effort", 8, 80)]), 8000);
  assert.equal(chooseQuantum([machine("gold", 16, 40, [team("t", 4, 40)])]), 4000);
});

test("a common divisor that is too long is divided on", () => {
  assert.equal(chooseQuantum([machine("a", 15, 45)]), 7500);
  assert.equal(chooseQuantum([machine("a", 100, 400)]), 10_000);
});

test("one that is too short becomes the shortest there is, and reservations are rounded", () => {
  assert.equal(chooseQuantum([machine("video", 5.68, 40)]), 1000);
  const odd = { id: "odd", reservation: { periodUs: micros(33_333), executionUs: micros(7000) }, teams: [] };
  assert.equal(chooseQuantum([odd]), 1000);
});

test("without machines it is the longest", () => {
  assert.equal(chooseQuantum([]), 10_000);
});
