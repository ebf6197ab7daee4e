import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { micros, milliCpu } from "#base/units.ts";
import { chosenEnforcement } from "./choose-enforcement.ts";
import type { EnforcementWish, TeamShape } from "./choose-enforcement.ts";
import { processorsOf } from "./processors.ts";

const all = new Set(["dispatch-table", "bandwidth", "deadline"] as const);
const wish = (changes: Partial<EnforcementWish> = {}): EnforcementWish => ({
  enforcement: "auto",
  reservation: { periodUs: micros(40_000), executionUs: micros(8000) },
  programs: { policy: "together", jobs: ["main"], teams: [] },
  isLimited: true,
  ...changes,
});
const inTurn: TeamShape = { policy: "round-robin", jobs: ["a", "b"], teams: [] };

describe("the choice of auto", () => {
  it("is the kernel's quota where there is a group to limit", () => {
    assert.equal(chosenEnforcement(wish(), all), "bandwidth");
    assert.equal(chosenEnforcement(wish({ isLimited: false }), all), "dispatch-table");
  });

  it("is a table where programs take turns, however deep", () => {
    const programs: TeamShape = { policy: "together", jobs: [], teams: [{ ...inTurn, teams: [inTurn] }] };
    assert.equal(chosenEnforcement(wish({ programs }), all), "dispatch-table");
  });

  it("is the quota for what takes turns but needs more than a processor", () => {
    const reservation = { periodUs: micros(40_000), executionUs: micros(60_000) };
    assert.equal(chosenEnforcement(wish({ reservation, programs: inTurn }), all), "bandwidth");
    const nothing = chosenEnforcement(wish({ reservation, programs: inTurn, isLimited: false }), all);
    assert.equal(nothing, undefined);
  });

  it("is never the deadline scheduler, and what is asked for by name is not changed", () => {
    assert.equal(chosenEnforcement(wish(), new Set(["deadline"] as const)), undefined);
    assert.equal(chosenEnforcement(wish({ enforcement: "deadline" }), new Set()), "deadline");
  });
});

describe("the processors of a host", () => {
  it("are whole ones, and one of what is left", () => {
    assert.deepEqual(processorsOf(milliCpu(2500)), [{ milli: 1000 }, { milli: 1000 }, { milli: 500 }]);
    assert.deepEqual(processorsOf(milliCpu(250)), [{ milli: 250 }]);
  });
});
