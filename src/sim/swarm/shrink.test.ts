import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Fault } from "#sim/fault.ts";
import { makeCase, swarmProfile } from "#sim/swarm/make-case.ts";
import { shrinkCase, shrinkList } from "#sim/swarm/shrink.ts";

describe("shrinkList()", () => {
  it("finds exactly the elements that make it fail, in their order", async () => {
    const few = fc.uniqueArray(fc.nat({ max: 30 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(few, async (needed) => {
        const all = Array.from({ length: 31 }, (_, index) => index);
        const fails = async (some: readonly number[]): Promise<boolean> =>
          needed.every((one) => some.includes(one));
        assert.deepEqual(
          await shrinkList(all, fails),
          all.filter((one) => needed.includes(one)),
        );
      }),
    );
  });
});

describe("shrinkCase()", () => {
  const failing = makeCase(3, { ...swarmProfile, kinds: ["pause"], faults: [12, 12], steps: [8, 8] });
  const culprit = failing.faults[5] as Extract<Fault, { kind: "pause" }>;
  const isFailing = (faults: readonly Fault[]): boolean =>
    faults.some((fault) => fault.kind === "pause" && fault.atMs === culprit.atMs && fault.forMs >= 100);

  it("keeps the one fault that is needed, makes it short, and drops the steps that are not", async () => {
    const small = await shrinkCase(failing, 1000, async ({ faults }) => isFailing(faults));
    assert.equal(small.steps.length, 0);
    assert.equal(small.faults.length, 1);
    const [left] = small.faults;
    assert.ok(left?.kind === "pause" && left.atMs === culprit.atMs && left.forMs < 200, JSON.stringify(left));
  });

  it("tries no more cases than it may, and then returns one that failed", async () => {
    let tried = 0;
    const small = await shrinkCase(failing, 5, async ({ faults }) => {
      tried += 1;
      return isFailing(faults);
    });
    assert.equal(tried, 5);
    assert.ok(isFailing(small.faults));
  });
});
