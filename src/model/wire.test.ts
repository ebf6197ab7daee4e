import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { bitsPerSecond, megabitsPerSecond } from "#base/units.ts";
import { connectionTypes } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";

const rates = fc.integer({ min: 0, max: 100_000_000_000 }).map(bitsPerSecond);

describe("wireRate()", () => {
  test("adds nothing within a host, 50 bytes to 1464 within a site, 110 between sites", () => {
    const promised = bitsPerSecond(1464 * 1000);
    assert.equal(wireRate(promised, "trivial"), 1464 * 1000);
    for (const near of ["direct", "intra-switch", "inter-switch"] as const) {
      assert.equal(wireRate(promised, near), 1514 * 1000);
    }
    assert.equal(wireRate(promised, "inter-router"), 1574 * 1000);
  });

  test("gives whole bits, never less than promised, never more the better the connection", () => {
    fc.assert(
      fc.property(rates, (rate) => {
        let before: number = rate;
        for (const connection of connectionTypes) {
          const wire = wireRate(rate, connection);
          assert.ok(Number.isInteger(wire) && wire >= before, `${rate} over ${connection}: ${wire}`);
          before = wire;
        }
      }),
    );
  });

  test("takes nothing for best effort", () => {
    for (const connection of connectionTypes) assert.equal(wireRate(bitsPerSecond(0), connection), 0);
  });

  test("leaves the planted problems' share of headers above what it adds", () => {
    const rate = megabitsPerSecond(100);
    assert.ok(wireRate(rate, "inter-router") <= rate * 1.08);
  });
});
