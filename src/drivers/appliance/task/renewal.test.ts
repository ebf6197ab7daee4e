import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { LeaseRenewal } from "#drivers/appliance/task/renewal.ts";
import { silentLog } from "#drivers/system/log.ts";

function renewalWith() {
  const said: string[] = [];
  const set: Millis[] = [];
  const state = { now: 0, end: millis(0), timerFails: false };
  const log: Log = { ...silentLog, error: (message) => said.push(message) };
  const closing = new AbortController();
  const renewal = new LeaseRenewal({
    lease: {
      get endMs() {
        return state.end;
      },
      lasts: () => state.now < state.end,
      extend(until) {
        if (until <= state.end) return false;
        state.end = until;
        return true;
      },
    },
    async setTimer(endMs) {
      if (state.timerFails) throw new Error("timerfd_settime: Invalid argument");
      set.push(endMs);
    },
    log,
    signal: closing.signal,
  });
  /** With what follows from it. */
  const renew = async (untilMs: number): Promise<boolean> => {
    const revived = renewal.renew(millis(untilMs));
    await new Promise(setImmediate);
    return revived;
  };
  return { said, set, state, renew, closing };
}

test("renew() sets the timer to each later end, and tells when a lease lasts again", async () => {
  const { renew, set, state } = renewalWith();
  assert.equal(await renew(10), true);
  assert.equal(await renew(20), false);
  assert.equal(await renew(15), false);
  assert.deepEqual(set, [10, 20]);
  state.now = 25;
  assert.equal(await renew(30), true);
});

test("while the timer cannot be set, that is told and no later end is granted; once it can, leases go on", async () => {
  const { renew, said, set, state } = renewalWith();
  await renew(10);
  state.timerFails = true;
  await renew(20);
  assert.match(said[0] ?? "", /Cannot grant a lease: timerfd_settime/);
  state.now = 21;
  assert.equal(await renew(30), false);
  assert.equal(state.end, 20);
  assert.equal(said.length, 2);
  state.timerFails = false;
  assert.equal(await renew(40), false);
  assert.equal(state.end, 20);
  assert.equal(await renew(50), true);
  assert.deepEqual(set, [10, 20, 50]);
});

test("a failure after the driver was closed is no news", async () => {
  const { renew, said, state, closing } = renewalWith();
  state.timerFails = true;
  closing.abort();
  await renew(10);
  assert.deepEqual(said, []);
});
