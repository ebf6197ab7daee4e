import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import { plansUnderOneNumber, planWentBack } from "#sim/checks/epoch-obeyed.ts";

const a1 = hostId("a1");
const plan = (epoch: number, revision: number, peers: string[] = []): HostPlan => ({
  host: a1,
  epoch,
  revision,
  appliances: [],
  segments: [],
  shapedPairs: peers as never,
  tunnels: [],
});

describe("planWentBack()", () => {
  it("finds an older epoch, an older revision and a lost plan", () => {
    assert.match(planWentBack(a1, plan(3, 1), plan(2, 9))?.message ?? "", /epoch 2, revision 9/);
    assert.match(planWentBack(a1, plan(3, 4), plan(3, 3))?.message ?? "", /revision 3/);
    assert.match(planWentBack(a1, plan(3, 4), undefined)?.message ?? "", /now keeps none/);
  });

  it("finds nothing in a first plan, the same one, or a newer one whose epoch begins anew", () => {
    assert.equal(planWentBack(a1, undefined, plan(1, 1)), undefined);
    assert.equal(planWentBack(a1, plan(1, 1), plan(1, 1)), undefined);
    assert.equal(planWentBack(a1, plan(1, 7), plan(2, 1)), undefined);
  });
});

describe("plansUnderOneNumber()", () => {
  const isEqual = (one: HostPlan, other: HostPlan): boolean => JSON.stringify(one) === JSON.stringify(other);

  it("finds two plans that share epoch and revision", () => {
    const breach = plansUnderOneNumber(a1, plan(1, 2), plan(1, 2, ["pair"]), isEqual);
    assert.equal(breach?.message, "a1 was given two plans under epoch 1, revision 2");
  });

  it("finds nothing where a plan came twice, or another has its own number", () => {
    assert.equal(plansUnderOneNumber(a1, plan(1, 2), plan(1, 2), isEqual), undefined);
    assert.equal(plansUnderOneNumber(a1, plan(1, 2), plan(1, 3, ["pair"]), isEqual), undefined);
  });
});
