import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { millis } from "#base/units.ts";
import { nextRestart, steadyRunMs } from "#drivers/appliance/task/next-restart.ts";
import type { RestartPolicy } from "#model/ensemble.ts";

const policy = (when: RestartPolicy["when"]): RestartPolicy => ({
  when,
  backoffMsMin: millis(100),
  backoffMsMax: millis(1_000),
});
const failed = { exitCode: 1, ranMs: millis(10) };
const well = { exitCode: 0, ranMs: millis(10) };

test("nextRestart() restarts always, after failure only, or never, as the policy says", () => {
  assert.deepEqual(nextRestart(policy("never"), failed, undefined), { restart: false, state: "failed" });
  assert.deepEqual(nextRestart(policy("never"), well, undefined), { restart: false, state: "exited" });
  assert.deepEqual(nextRestart(policy("on-failure"), well, undefined), { restart: false, state: "exited" });
  assert.deepEqual(nextRestart(policy("on-failure"), failed, undefined), { restart: true, delayMs: 100 });
  assert.deepEqual(nextRestart(policy("always"), well, undefined), { restart: true, delayMs: 100 });
});

test("nextRestart() pauses the shortest time again after a steady run", () => {
  const steady = { exitCode: 1, ranMs: steadyRunMs };
  assert.deepEqual(nextRestart(policy("always"), steady, millis(800)), { restart: true, delayMs: 100 });
});

test("nextRestart() doubles its pauses and never leaves the policy's bounds", () => {
  const delays = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(delays, delays, fc.integer({ min: 1, max: 30 }), (a, b, ends) => {
      const bounds = { backoffMsMin: millis(Math.min(a, b)), backoffMsMax: millis(Math.max(a, b)) };
      let last: number | undefined;
      for (let end = 0; end < ends; end += 1) {
        const lastDelayMs = last === undefined ? undefined : millis(last);
        const next = nextRestart({ when: "always", ...bounds }, failed, lastDelayMs);
        assert.ok(next.restart);
        assert.ok(next.delayMs >= bounds.backoffMsMin && next.delayMs <= bounds.backoffMsMax);
        if (last !== undefined && last > 0) {
          assert.equal(next.delayMs, Math.min(last * 2, bounds.backoffMsMax));
        }
        last = next.delayMs;
      }
    }),
  );
});
