import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import { Wake } from "#base/wake.ts";

const never = new AbortController().signal;

describe("Wake", () => {
  it("wakes when its period has passed, and not before", async () => {
    const clock = new ManualClock();
    let woken = false;
    const waiting = new Wake(clock).wait(millis(100), never).then(() => (woken = true));
    clock.advance(millis(99));
    await Promise.resolve();
    assert.equal(woken, false);
    clock.advance(millis(1));
    await waiting;
  });

  it("wakes when told, and remembers being told while nobody waited", async () => {
    const wake = new Wake(new ManualClock());
    const waiting = wake.wait(millis(100), never);
    wake.now();
    await waiting;
    wake.now();
    wake.now();
    await wake.wait(millis(100), never);
  });

  it("lets time pass for one that is told by each of its own passes", async () => {
    const clock = new ManualClock();
    const wake = new Wake(clock);
    let passes = 0;
    const stop = new AbortController();
    const spinning = (async () => {
      for (;;) {
        passes += 1;
        wake.now();
        await wake.wait(millis(1000), stop.signal);
      }
    })();
    // Were it never to let go, this would never come.
    await new Promise((resolve) => setImmediate(resolve));
    const first = passes;
    assert.ok(first > 1 && first < 100, `${first} passes`);
    clock.advance(millis(10));
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(passes > first, "it goes on with time");
    stop.abort(new Error("enough"));
    await assert.rejects(spinning, { message: "enough" });
  });

  it("rejects when the signal aborts", async () => {
    const stop = new AbortController();
    const waiting = new Wake(new ManualClock()).wait(millis(100), stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
  });
});
