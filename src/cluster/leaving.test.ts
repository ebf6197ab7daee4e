import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import {
  isBoundByLease,
  leavingAfter,
  mayRunUnleasedOn,
  isStillLeaving,
  stillLeaving,
  stillUnleased,
  unleasedAfter,
} from "#cluster/leaving.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

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
    assert.ok(isStillLeaving({ leaving: next }, web));
    assert.ok(!isStillLeaving({ leaving: next }, db));
  });
});

describe("mayRunUnleasedOn()", () => {
  it("names what obeys no lease there, be it only on its way from there, and nothing that has ended", () => {
    const records = [{ unleased: { [web]: [a1, b1], [db]: [a2] } }, { unleased: {} }];
    assert.deepEqual(
      mayRunUnleasedOn(a1, records, () => false),
      [web],
    );
    assert.deepEqual(
      mayRunUnleasedOn(a1, records, (id) => id === web),
      [],
    );
  });
});

describe("unleasedAfter()", () => {
  const shop = (webPolicy: "elsewhere" | "in-place") =>
    sampleEnsemble("shop", {
      appliances: [sampleAppliance("web", { onHostLoss: webPolicy }), sampleAppliance("db")],
    });
  const on = (policy: "elsewhere" | "in-place", placements: Record<string, HostId>, leaving = {}) => ({
    ensemble: shop(policy),
    ...placed(placements, leaving),
  });

  it("names the host of what is to stay in place, from the first moment", () => {
    assert.deepEqual(unleasedAfter(undefined, on("in-place", { [web]: a1, [db]: a1 })), { [web]: [a1] });
  });

  it("keeps a host that was told of a lease only now, until it says that it obeys", () => {
    const now = on("elsewhere", { [web]: a1, [db]: a1 });
    const unleased = unleasedAfter({ unleased: { [web]: [a1] } }, now);
    assert.deepEqual(unleased, { [web]: [a1] });
    assert.equal(isBoundByLease({ unleased }, web, a1), false);
    const obeyed = stillUnleased({ ensemble: now.ensemble, unleased }, () => true);
    assert.deepEqual(obeyed, {});
    assert.equal(isBoundByLease({ unleased: obeyed }, web, a1), true);
  });

  it("keeps a host that is being left, and forgets one that was", () => {
    const moved = on("elsewhere", { [web]: a2, [db]: a1 }, { [web]: [a1] });
    assert.deepEqual(unleasedAfter({ unleased: { [web]: [a1] } }, moved), { [web]: [a1] });
    assert.deepEqual(unleasedAfter({ unleased: { [web]: [b1] } }, moved), {});
  });

  it("believes no word about leases of what is to stay in place", () => {
    const record = { ensemble: shop("in-place"), unleased: { [web]: [a1] } };
    assert.equal(
      stillUnleased(record, () => true),
      record.unleased,
    );
  });
});
