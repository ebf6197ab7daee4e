import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { makeCase, swarmProfile } from "#sim/swarm/make-case.ts";
import { describeFailure, describeFault, reproduceLine } from "#sim/swarm/describe.ts";

describe("describeFailure()", () => {
  const drawn = makeCase(12, { ...swarmProfile, kinds: ["cut", "pause"], faults: [3, 3] });
  const text = describeFailure({
    seed: 12,
    case: drawn,
    violation: { invariant: "runs-once", message: "shop/web runs on a1 and on a2 at once", atMs: 7251 },
    events: 900,
    simulatedMs: 7251,
    traceHash: "h",
    trace: Array.from({ length: 30 }, (_, index) => `line ${index}`),
  });

  it("says what broke, and the one line that shows it again", () => {
    const [head, again] = text.split("\n");
    assert.equal(head, "seed 12 breaks runs-once after 7.251 s: shop/web runs on a1 and on a2 at once");
    assert.equal(again, `  again: ${reproduceLine(12)}`);
    assert.equal(reproduceLine(12), "consort simulate --swarm --seed 12");
  });

  it("lists every step and every fault, and the end of the trace", () => {
    for (const fault of drawn.faults) assert.ok(text.includes(describeFault(fault)), text);
    assert.equal(text.match(/^ {4}\d/gm)?.length, drawn.steps.length + drawn.faults.length);
    assert.ok(text.endsWith("line 29") && !text.includes("line 9\n"));
  });
});
