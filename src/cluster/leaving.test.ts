import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { leavingAfter, mayRunElsewhere, stillLeaving } from "#cluster/leaving.ts";

const web = applianceId(ensembleName("shop"), applianceName("web"));
const db = applianceId(ensembleName("shop"), applianceName("db"));
const [a1, a2, b1] = [hostId("a1"), hostId("a2"), hostId("b1")];
const placed = (placements: Record<string, HostId>, leaving = {}) => ({ placements, leaving });

describe("leavingAfter()", () => {
  it("is nothing for a new ensemble, and where everything stays", () => {
    assert.deepEqual(leavingAfter(undefined, { [web]: a1 }), {});
    assert.deepEqual(leavingAfter(placed({ [web]: a1 }), { [web]: a1 }), {});
  });

  it("names the host of what moves, and of what is wanted no more", () => {
    assert.deepEqual(leavingAfter(placed({ [web]: a1, [db]: a2 }), { [web]: b1 }), {
      [web]: [a1],
      [db]: [a2],
    });
  });

  it("adds to hosts that were to be left before, and forgets one it comes back to", () => {
    assert.deepEqual(leavingAfter(placed({ [web]: a2 }, { [web]: [a1] }), { [web]: b1 }), {
      [web]: [a1, a2],
    });
    assert.deepEqual(leavingAfter(placed({ [web]: a2 }, { [web]: [a1] }), { [web]: a1 }), { [web]: [a2] });
  });
});

describe("stillLeaving()", () => {
  it("goes down host by host to nothing, and is the same object while nothing changes", () => {
    const leaving = { [web]: [a1, a2], [db]: [a1] };
    assert.equal(
      stillLeaving(leaving, () => false),
      leaving,
    );
    const next = stillLeaving(leaving, (_id, host) => host === a1);
    assert.deepEqual(next, { [web]: [a2] });
    assert.ok(mayRunElsewhere({ leaving: next }, web));
    assert.ok(!mayRunElsewhere({ leaving: next }, db));
  });
});
