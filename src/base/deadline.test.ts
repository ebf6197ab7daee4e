import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withDeadline } from "#base/deadline.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";

const hangs = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("withDeadline()", () => {
  it("gives up what takes too long", async () => {
    const clock = new ManualClock();
    const done = withDeadline(clock, millis(10), hangs, new AbortController().signal);
    clock.advance(millis(10));
    await assert.rejects(done, { code: "timeout" });
  });

  it("passes on what is done in time, and why the caller gave up", async () => {
    const stop = new AbortController();
    const clock = new ManualClock();
    assert.equal(await withDeadline(clock, millis(10), () => Promise.resolve(7), stop.signal), 7);
    const done = withDeadline(clock, millis(10), hangs, stop.signal);
    stop.abort(new Error("interrupted"));
    await assert.rejects(done, { message: "interrupted" });
  });
});
