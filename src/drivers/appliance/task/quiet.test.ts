import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { micros, millis } from "#base/units.ts";
import { Quiet } from "#drivers/appliance/task/quiet.ts";

function host() {
  const clock = new ManualClock();
  const state = { usedUs: 5000, isThere: true };
  const all = {
    cpuUsedUs: () => {
      if (!state.isThere) throw new Error("No such file or directory");
      return micros(state.usedUs);
    },
  };
  return { clock, state, quiet: new Quiet(all, clock) };
}

test("machines are read one by one at first, and then when together they have used something", () => {
  const { quiet, state } = host();
  assert.equal(quiet.isQuiet(100), false);
  assert.equal(quiet.isQuiet(100), true);
  state.usedUs += 999;
  assert.equal(quiet.isQuiet(100), true);
  state.usedUs += 1;
  assert.equal(quiet.isQuiet(100), false, "little by little it adds up");
  assert.equal(quiet.isQuiet(100), true);
});

test("of few machines hardly anything goes unseen", () => {
  const { quiet, state } = host();
  quiet.isQuiet(1);
  state.usedUs += 10;
  assert.equal(quiet.isQuiet(1), false);
});

test("what is too old is read again, and so is all where the group cannot be", () => {
  const { quiet, state, clock } = host();
  quiet.isQuiet(1000);
  clock.advance(millis(9_999));
  assert.equal(quiet.isQuiet(1000), true);
  clock.advance(millis(1));
  assert.equal(quiet.isQuiet(1000), false);
  state.isThere = false;
  assert.deepEqual([quiet.isQuiet(1000), quiet.isQuiet(1000)], [false, false]);
});
