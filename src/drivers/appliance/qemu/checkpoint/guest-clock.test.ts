import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import { correctGuestClock, correctLateClock } from "./guest-clock.ts";

const never = new AbortController().signal;
const silent = new ConsortError("unavailable", "it does not answer");
const refuses = new ConsortError("driver_failed", "it has no hwclock");

/** A guest's clock, and what its agent does with questions about it. */
function guest(clock: ManualClock, change: { silentFor?: number; hwclock?: boolean; deaf?: boolean } = {}) {
  let left = change.silentFor ?? 0;
  let behindMs = 3_600_000;
  const execute = (command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> => {
    if (left > 0) {
      left -= 1;
      return Promise.reject(silent);
    }
    if (command === "guest-get-time") return Promise.resolve((clock.now() - behindMs) * 1e6);
    if (command === "guest-set-time" && change.hwclock === false) return Promise.reject(refuses);
    const arg = args["arg"] as readonly string[] | undefined;
    const setMs = arg === undefined ? Number(args["time"]) / 1e6 : Number(arg[2]?.slice(1)) * 1000;
    if (change.deaf !== true) behindMs = clock.now() - setMs;
    return Promise.resolve({});
  };
  return { execute, behindMs: () => behindMs };
}

/** Until it settles, however often it waits in between. */
async function settled<T>(work: Promise<T>, clock: ManualClock): Promise<T> {
  // More often than it ever tries.
  for (let turn = 0; turn < 60; turn += 1) {
    clock.advance(millis(500));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return work;
}

describe("correctGuestClock()", () => {
  it("sets the clock of a guest that stood still, also where it has no program for that of its hardware", async () => {
    for (const hwclock of [true, false]) {
      const clock = new ManualClock();
      const one = guest(clock, { hwclock });
      assert.equal(await correctGuestClock(one, clock, never), true);
      assert.ok(Math.abs(one.behindMs()) <= 1000, `${one.behindMs()}ms`);
    }
  });

  it("waits for an agent that does not answer yet, and not for ever", async () => {
    const clock = new ManualClock();
    const slow = guest(clock, { silentFor: 5 });
    assert.equal(await settled(correctGuestClock(slow, clock, never), clock), true);
    assert.equal(slow.behindMs(), 0);
    const dead = guest(clock, { silentFor: 1000 });
    assert.equal(await settled(correctGuestClock(dead, clock, never), clock), false);
  });

  it("does not believe that it is set before the guest tells the right time", async () => {
    const clock = new ManualClock();
    assert.equal(await settled(correctGuestClock(guest(clock, { deaf: true }), clock, never), clock), false);
  });

  it("ends with its signal", async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const work = correctGuestClock(guest(clock, { silentFor: 1000 }), clock, stop.signal);
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort(new Error("gone"));
    await assert.rejects(work, { message: "gone" });
  });
});

describe("correctLateClock()", () => {
  it("sets a clock that is late, and nothing of a guest whose clock is right", async () => {
    const clock = new ManualClock();
    const late = guest(clock);
    assert.equal(await correctLateClock(late, clock, never), true);
    assert.equal(late.behindMs(), 0);
    const asked: string[] = [];
    const execute = (command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> => {
      asked.push(command);
      return late.execute(command, args);
    };
    assert.equal(await correctLateClock({ execute }, clock, never), true);
    assert.deepEqual(asked, ["guest-get-time"]);
  });
});
