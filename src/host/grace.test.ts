import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { graceOf } from "#host/grace.ts";
import { planned, seen } from "#host/sample.ts";
import type { VmPlan } from "#protocol/host-plan.ts";

const restoring = { restore: { checkpoints: [], copies: { hosts: [] } } } as unknown as VmPlan;
const running = { ...seen("db", { generation: "g" }), stopGraceMs: millis(5000) };

test("what is set back to a checkpoint is given no time to end by itself; all else has its own", () => {
  const again = planned("db", { kind: "vm", generation: "g+1", vm: restoring });
  assert.equal(graceOf({ appliances: [again] }, running), 0);
  const declaredAnew = { ...again, generation: "h+1" };
  assert.equal(graceOf({ appliances: [declaredAnew] }, running), 5000);
  const { vm: _vm, ...other } = again;
  assert.equal(graceOf({ appliances: [other] }, running), 5000);
  assert.equal(graceOf({ appliances: [] }, running), 5000);
});
