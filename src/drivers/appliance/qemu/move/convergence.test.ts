import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { millis } from "#base/units.ts";
import { convergence, relief, shareSent } from "./convergence.ts";
import type { SendProgress } from "./convergence.ts";

const after = (pass: number, elapsedMs = 100): SendProgress => ({
  pass,
  remainingBytes: 50,
  totalBytes: 100,
  transferredBytes: 60,
  elapsedMs: millis(elapsedMs),
});

describe("relief()", () => {
  it("leaves a migration alone that has passes and time left", () => {
    assert.equal(relief(after(convergence.passesMax), convergence.downtimeMs, true), undefined);
  });

  it("allows a longer standstill when the passes are used up, and when the time is", () => {
    const twice = { kind: "downtime", downtimeMs: convergence.downtimeMs * 2 };
    assert.deepEqual(relief(after(convergence.passesMax + 1), convergence.downtimeMs, true), twice);
    assert.deepEqual(relief(after(2, convergence.passingMsMax + 1), convergence.downtimeMs, true), twice);
  });

  it("does nothing to a guest while a slow network takes its memory for the first time, and gives it its time then", () => {
    const longMs = 100 * convergence.passingMsMax;
    assert.equal(relief(after(1, longMs), convergence.downtimeMs, false), undefined);
    const since = millis(longMs);
    assert.equal(relief(after(2, longMs + 1), convergence.downtimeMs, false, since), undefined);
    const late = after(2, longMs + convergence.passingMsMax + 1);
    assert.equal(relief(late, convergence.downtimeMs, false, since)?.kind, "downtime");
  });

  it("goes on there at once when no longer standstill helps, where that can be done, and else stands still", () => {
    const late = after(1000);
    assert.deepEqual(relief(late, convergence.downtimeMsMax, true), { kind: "postcopy" });
    assert.deepEqual(relief(late, convergence.downtimeMsMax, false), { kind: "stop" });
  });

  it("ends every migration after a bounded number of passes", () => {
    fc.assert(
      fc.property(fc.boolean(), (canPostcopy) => {
        let allowed = convergence.downtimeMs;
        for (let pass = 1; pass < 100; pass += 1) {
          const step = relief(after(pass), allowed, canPostcopy);
          if (step?.kind === "downtime") allowed = step.downtimeMs;
          else if (step !== undefined) return true;
        }
        return false;
      }),
    );
  });
});

describe("shareSent()", () => {
  it("stays between 0 and 1, whatever QEMU tells", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.nat(), (remainingBytes, totalBytes, pass) => {
        const share = shareSent({ ...after(pass), remainingBytes, totalBytes });
        return share >= 0 && share <= 1;
      }),
    );
  });
});
