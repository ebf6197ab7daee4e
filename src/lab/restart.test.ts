import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { afterDeath, backOffMsMax, freshRestartState } from "#lab/restart.ts";

test("a program that ran for a while is restarted at once, however often it dies", () => {
  let state = freshRestartState;
  for (let round = 0; round < 20; round += 1) {
    const next = afterDeath(state, millis(1500));
    assert.equal(next.delayMs, 0);
    state = next.state;
  }
});

test("a program that dies at once, again and again, is restarted ever more rarely, and never less than every five seconds", () => {
  let state = freshRestartState;
  const delays = Array.from({ length: 12 }, () => {
    const next = afterDeath(state, millis(50));
    state = next.state;
    return next.delayMs;
  });
  assert.deepEqual(delays.slice(0, 4), [0, 100, 200, 400]);
  assert.equal(delays.at(-1), backOffMsMax);
});

test("running for a while wipes out what was", () => {
  const failed = afterDeath(afterDeath(freshRestartState, millis(5)).state, millis(5));
  const recovered = afterDeath(failed.state, millis(60_000));
  assert.equal(afterDeath(recovered.state, millis(5)).delayMs, 0);
});
