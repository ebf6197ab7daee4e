import assert from "node:assert/strict";
import { it } from "node:test";
import { reconnectDelay } from "#drivers/messaging/reconnect.ts";

it("reconnectDelay() begins quickly, doubles up to its longest, and spreads by half", () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 1000].map((failures) => reconnectDelay(failures, 0)),
    [20, 40, 80, 100, 100, 100],
  );
  assert.equal(reconnectDelay(0, 0.5), 15);
  assert.ok(reconnectDelay(4, 0.999) >= 50);
});
