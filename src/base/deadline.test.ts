import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RepeatedDeadline, withDeadline } from "#base/deadline.ts";
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

describe("RepeatedDeadline", () => {
  it("hands out one signal for all that is done in time, and another after one was not", async () => {
    const clock = new ManualClock();
    const deadline = new RepeatedDeadline(clock);
    const { signal } = new AbortController();
    const given = (inner: AbortSignal): Promise<AbortSignal> => Promise.resolve(inner);
    const first = await deadline.run(millis(10), given, signal);
    clock.advance(millis(20));
    assert.equal(await deadline.run(millis(10), given, signal), first);
    const late = deadline.run(millis(10), hangs, signal);
    clock.advance(millis(10));
    await assert.rejects(late, { code: "timeout" });
    const next = await deadline.run(millis(10), given, signal);
    assert.deepEqual([first.aborted, next.aborted], [true, false]);
  });

  it("passes on why the caller gave up, whichever of its signals that is", async () => {
    const deadline = new RepeatedDeadline(new ManualClock());
    const [before, stop] = [new AbortController(), new AbortController()];
    await deadline.run(millis(10), () => Promise.resolve(), before.signal);
    const done = deadline.run(millis(10), hangs, stop.signal);
    before.abort(new Error("of another time"));
    stop.abort(new Error("interrupted"));
    await assert.rejects(done, { message: "interrupted" });
    await assert.rejects(
      deadline.run(millis(10), () => Promise.resolve(), stop.signal),
      { message: "interrupted" },
    );
  });
});
