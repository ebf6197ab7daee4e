import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Allowance } from "./allowance.ts";

const job = 7;
const column = 3;
const owner = 12;

function following(usedUsOf: (job: number) => number, jobs: readonly number[] = [job]): Allowance {
  const allowance = new Allowance(usedUsOf);
  for (const each of jobs) allowance.follow(column, each);
  return allowance;
}

test("what a job before it had used says nothing of the next one of the same number", () => {
  let usedUs = 90_000;
  const allowance = following(() => usedUs);
  allowance.afterSlots(owner, column, 10_000);
  allowance.forget(job);
  usedUs = 95_000;
  assert.ok(allowance.afterSlots(owner, column, 10_000) < 0);
  usedUs = 96_000;
  assert.equal(allowance.afterSlots(owner, column, 10_000), 9000);
});

test("a count that goes back, or is not told, leaves nothing", () => {
  let usedUs = 5000;
  const allowance = following(() => usedUs);
  allowance.afterSlots(owner, column, 10_000);
  usedUs = 4000;
  assert.ok(allowance.afterSlots(owner, column, 10_000) < 0);
  usedUs = -1;
  assert.ok(allowance.left(owner, column) < 0);
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
      const allowance = following(() => told);
      allowance.afterSlots(owner, column, 0);
      for (const { inSlotsUs, toldLateUs } of each) {
        slotsUs += 10_000;
        used += inSlotsUs;
        told = Math.max(told, used - toldLateUs);
        const leftUs = allowance.afterSlots(owner, column, 10_000);
        // All that it may it has, and that is told at once.
        used += Math.max(0, leftUs);
        told = used;
        allowance.left(owner, column);
      }
      assert.ok(used <= slotsUs + 4000, `${used} used of ${slotsUs}`);
    }),
  );
});

test("several jobs share what they left; of more than a few, and of nobody, it is not asked", () => {
  const usedUs = new Map([1, 2, 3, 4, 5].map((each) => [each, 0]));
  const asked: number[] = [];
  const usedUsOf = (each: number): number => {
    asked.push(each);
    return usedUs.get(each) ?? -1;
  };
  const allowance = following(usedUsOf, [1, 2]);
  assert.ok(allowance.afterSlots(owner, column, 10_000) < 0, "what they had used before is not known");
  usedUs.set(1, 3000).set(2, 4000);
  assert.equal(allowance.afterSlots(owner, column, 10_000), 3000);
  usedUs.set(2, 4500);
  assert.equal(allowance.left(owner, column), 2500);
  allowance.follow(column, 3);
  assert.ok(allowance.afterSlots(owner, column, 10_000) < 0, "one has come that was not looked at");
  usedUs.set(3, 9000);
  assert.equal(allowance.afterSlots(owner, column, 10_000), 1000);
  for (const each of [4, 5]) allowance.follow(column, each);
  asked.length = 0;
  assert.ok(allowance.afterSlots(owner, column, 10_000) < 0);
  allowance.followNobody(column);
  assert.ok(allowance.afterSlots(owner, column, 10_000) < 0);
  assert.deepEqual(asked, []);
});
