import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";

describe("ManualClock", () => {
  it("runs timers in the order of their times, and none that was called off", () => {
    const clock = new ManualClock();
    const ran: string[] = [];
    clock.timer(millis(20), () => ran.push("late"));
    clock.timer(millis(10), () => ran.push("early"));
    const callOff = clock.timer(millis(15), () => ran.push("called off"));
    clock.advance(millis(12));
    callOff();
    clock.advance(millis(8));
    assert.deepEqual(ran, ["early", "late"]);
    callOff();
  });
});
