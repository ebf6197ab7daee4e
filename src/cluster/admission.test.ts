import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkMapping } from "#cluster/admission.ts";
import { sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { solveMapping } from "#planner/mapper.ts";

const problem = {
  topology: sampleTopology("vxlan"),
  ensembles: [sampleEnsemble("shop", { appliances: [sampleAppliance("web"), sampleAppliance("db")] })],
  existing: [],
};

describe("checkMapping()", () => {
  it("lets a sound mapping pass", () => {
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(mapping.violations, []);
    checkMapping(problem, mapping);
  });

  it("refuses as internal a mapping that claims what it does not keep", () => {
    const mapping = solveMapping(problem, { seed: 1 });
    assert.throws(() => checkMapping(problem, { ...mapping, placements: new Map() }), {
      code: "internal",
      message: /claims to keep \(.*has no host\)/,
    });
  });
});
