import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Allowance } from "./allowance.ts";

const job = 7;

test("what a job before it had used says nothing of the next one of the same number", () => {
  let usedUs = 90_000;
  const allowance = new Allowance(() => usedUs);
  allowance.afterSlots(job, 10_000);
  allowance.forget(job);
  usedUs = 95_000;
  assert.ok(allowance.afterSlots(job, 10_000) < 0);
  usedUs = 96_000;
  assert.equal(allowance.afterSlots(job, 10_000), 9000);
});

test("a count that goes back, or is not told, leaves nothing", () => {
  let usedUs = 5000;
  const allowance = new Allowance(() => usedUs);
  allowance.afterSlots(job, 10_000);
  usedUs = 4000;
  assert.ok(allowance.afterSlots(job, 10_000) < 0);
  usedUs = -1;
  assert.ok(allowance.left(job) < 0);
});

test("whatever is told late, all of it together is never more than the slots there were", () => {
  const rounds = fc.array(
    fc.record({
      inSlotsUs: fc.integer({ min: 0, max: 10_000 }),
      toldLateUs: fc.integer({ min: 0, max: 4000 }),
    }),
  );
  fc.assert(
    fc.property(rounds, (each) => {
      let told = 0;
      let used = 0;
      let slotsUs = 0;
      const allowance = new Allowance(() => told);
      allowance.afterSlots(job, 0);
      for (const { inSlotsUs, toldLateUs } of each) {
        slotsUs += 10_000;
        used += inSlotsUs;
        told = Math.max(told, used - toldLateUs);
        const leftUs = allowance.afterSlots(job, 10_000);
        // All that it may it has, and that is told at once.
        used += Math.max(0, leftUs);
        told = used;
        allowance.left(job);
      }
      assert.ok(used <= slotsUs + 4000, `${used} used of ${slotsUs}`);
    }),
  );
});
