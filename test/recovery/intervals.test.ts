import assert from "node:assert/strict";
import { test } from "node:test";
import { overlaps, smallestGapMs } from "./intervals.ts";
import type { Life } from "./intervals.ts";

const life = (host: string, firstMs: number, lastMs: number, appliance = "web"): Life => ({
  appliance,
  host,
  instance: `${host} ${firstMs}`,
  firstNs: BigInt(firstMs) * 1_000_000n,
  lastNs: BigInt(lastMs) * 1_000_000n,
});

test("instances one after the other do not overlap, and their gap is told", () => {
  const lives = [life("a1", 0, 100), life("a2", 150, 300), life("a1", 310, 400)];
  assert.deepEqual(overlaps(lives), []);
  assert.equal(smallestGapMs(lives), 10);
});

test("an instance that stamps once more after the next began is found out", () => {
  const first = life("a1", 0, 160);
  const second = life("a2", 150, 155);
  assert.deepEqual(overlaps([second, first]), [[first, second]]);
  // Also by one that comes after a short one in between.
  assert.equal(overlaps([first, second, life("a3", 159, 300)]).length, 2);
});

test("different appliances may run at once, and restarts in place are no moves", () => {
  assert.deepEqual(overlaps([life("a1", 0, 100), life("a1", 0, 100, "db")]), []);
  assert.equal(smallestGapMs([life("a1", 0, 100), life("a1", 101, 200)]), undefined);
});
