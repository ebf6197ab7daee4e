import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { sampleCheckpoint } from "#model/sample-vm.ts";
import type { MovePlan, VmPlan } from "#protocol/host-plan.ts";
import { arrivalOf } from "./record.ts";

test("a machine that goes on from a checkpoint is as old as it was, and one that begins from its disks is new", () => {
  const [begun, moved] = [millis(5000), millis(3000)];
  const checkpoints = [sampleCheckpoint("new", { startedAt: begun, after: "old" }), sampleCheckpoint("old")];
  const restore = { checkpoints, copies: { hosts: [] } } as unknown as NonNullable<VmPlan["restore"]>;
  const of = (vm: Partial<VmPlan>) => arrivalOf(vm as VmPlan, 2).arrived;
  assert.deepEqual(of({ restore }), { run: 2, startedAt: begun });
  assert.equal(of({ restore: { ...restore, cold: true } }), undefined);
  assert.equal(
    of({ restore: { ...restore, checkpoints: [sampleCheckpoint("old")] } }),
    undefined,
    "of before",
  );
  assert.equal(of({}), undefined);
  const move = { side: "arriving", startedAt: moved } as MovePlan;
  assert.deepEqual(of({ restore, move }), { run: 2, startedAt: moved }, "it moved since");
});
