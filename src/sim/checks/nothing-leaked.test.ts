import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contentLeft, leaked, leftovers } from "#sim/checks/nothing-leaked.ts";
import { emptyMachine, sampleWorld } from "#sim/checks/world.fixture.ts";
import type { World } from "#sim/checks/world.ts";

const full = sampleWorld();
const empty: World = {
  ...full,
  records: [],
  machines: full.machines.map((machine) => emptyMachine(machine.host)),
};

describe("leftovers()", () => {
  it("finds none in an empty cloud", () => assert.equal(leaked(empty), undefined));

  it("finds every kind of thing that can be left behind", () => {
    const operation = { id: "7", state: "running" } as World["operations"][number];
    const machines = full.machines.map((one) => ({ ...one, moving: one.planned, saved: one.planned }));
    const checkpoints = [{ appliance: "shop/web", taken: [] } as never];
    const checkpointRequests = [{ id: "r-1", ensemble: "shop" } as never];
    const all = { ...full, machines, checkpoints, checkpointRequests, operations: [operation] };
    const left = leftovers(all).join("\n");
    for (const kind of [
      /^the store's record of shop$/m,
      /^shop\/web on a1$/m,
      /^segment shop\/lan on a1$/m,
      /^a port of shop\/db on b1$/m,
      /^class of \S+ to \S+ on b1$/m,
      /^permissions of shop\/lan on a1$/m,
      /^the tunnel of gw-alpha to beta$/m,
      /^a side of the move of shop\/web on a1$/m,
      /^shop\/web in the plan of a1$/m,
      /^the store's record of the checkpoints of shop\/web$/m,
      /^the request r-1 for checkpoints of shop$/m,
      /^the record of checkpoints of shop\/web on a1$/m,
      /^operation 7$/m,
    ])
      assert.match(left, kind);
  });
});

describe("contentLeft()", () => {
  it("tells of parts of checkpoints that are on a disk when nobody needs any", () => {
    assert.equal(contentLeft(empty), undefined);
    const [one, ...others] = empty.machines;
    const left = { ...empty, machines: [{ ...one!, blobs: 2 }, ...others] };
    assert.match(contentLeft(left)?.message ?? "", /^2 parts of checkpoints are left on /);
  });
});
