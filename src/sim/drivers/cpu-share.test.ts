import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { shareCpu } from "#sim/drivers/cpu-share.ts";
import type { CpuClaim } from "#sim/drivers/cpu-share.ts";

const claim = (weight: number, limitMilli: number, demandMilli: number): CpuClaim => ({
  weight,
  limitMilli,
  demandMilli,
});
const milli = fc.integer({ min: 0, max: 3000 });
const claims = fc.array(
  fc.record({ weight: fc.integer({ min: 1, max: 2000 }), limitMilli: milli, demandMilli: milli }),
  { maxLength: 8 },
);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe("shareCpu()", () => {
  it("shares by weight where all want more, and gives to others what one leaves", () => {
    assert.deepEqual(shareCpu(900, [claim(1, 9999, 9999), claim(2, 9999, 9999)]), [300, 600]);
    assert.deepEqual(shareCpu(900, [claim(1, 9999, 9999), claim(2, 100, 9999)]), [800, 100]);
    assert.deepEqual(shareCpu(900, [claim(1, 9999, 50), claim(2, 9999, 9999)]), [50, 850]);
    assert.deepEqual(shareCpu(0, [claim(1, 10, 10)]), [0]);
  });

  it("gives nobody more than it may have, wastes nothing, and leaves nobody below its weight who wants more", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4000 }), claims, (capacity, all) => {
        const given = shareCpu(capacity, all);
        const most = all.map((one) => Math.min(one.limitMilli, one.demandMilli));
        assert.ok(Math.abs(sum(given) - Math.min(capacity, sum(most))) < 1e-6);
        const weights = sum(all.map((one) => one.weight));
        for (const [index, value] of given.entries()) {
          assert.ok(value <= most[index]! + 1e-9);
          const fair = Math.min(most[index]!, (capacity * all[index]!.weight) / weights);
          assert.ok(value >= fair - 1e-6, `${value} is below ${fair}`);
        }
      }),
    );
  });
});
