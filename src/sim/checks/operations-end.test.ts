import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { operationUndone, overdueOperation } from "#sim/checks/operations-end.ts";
import type { WatchedOperation } from "#sim/checks/operations-end.ts";

const operation = (state: WatchedOperation["operation"]["state"]): WatchedOperation["operation"] => ({
  id: "1",
  kind: "up",
  ensemble: "shop",
  state,
  message: "waiting for a1",
});
const moment = { nowMs: 1000, calmSinceMs: 500, limitMs: 400 };

describe("overdueOperation()", () => {
  it("finds one that went on for longer than its limit since the last fault", () => {
    const breach = overdueOperation([{ operation: operation("running"), sinceMs: 0 }], moment);
    assert.match(breach?.message ?? "", /^operation 1 \(up shop\) still goes on after 500 ms/);
  });

  it("counts from the operation's beginning where that was later, and leaves ended ones alone", () => {
    const watched = [
      { operation: operation("running"), sinceMs: 700 },
      { operation: operation("failed"), sinceMs: 0 },
    ];
    assert.equal(overdueOperation(watched, moment), undefined);
  });
});

describe("operationUndone()", () => {
  it("finds one that vanished while it ran, and one that came to life again", () => {
    assert.match(operationUndone(operation("running"), undefined)?.message ?? "", /vanished/);
    assert.match(operationUndone(operation("done"), operation("running"))?.message ?? "", /goes on again/);
  });

  it("lets operations end, and ended ones be forgotten", () => {
    assert.equal(operationUndone(operation("running"), operation("cancelled")), undefined);
    assert.equal(operationUndone(operation("done"), undefined), undefined);
  });
});
