import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { Snapshot } from "#planner/anneal.ts";
import { compileProblem } from "#planner/compile.ts";
import { localityOf, placeGreedily } from "#planner/greedy.ts";
import { lintMapping } from "#planner/lint.ts";
import { mappingOf } from "#planner/mapping-result.ts";
import { plantProblem } from "#planner/planted.ts";
import { Repairer } from "#planner/repair.ts";
import { MapperState } from "#planner/state.ts";

/** A greedy placement of a tight problem, which breaks some promises, and the means to repair it. */
function greedy(seed: number) {
  const { topology, ensemble } = plantProblem(
    { network: "tree", hosts: 24, sites: 1, appliances: 60, graph: "tree", load: 0.9 },
    seededRandom(seed),
  );
  const problem = { topology, ensembles: [ensemble], existing: [] };
  const compiled = compileProblem(problem);
  const random = seededRandom(seed);
  const state = new MapperState(compiled, random, 0);
  const locality = localityOf(compiled);
  const units = [...compiled.unitChoice.keys()];
  placeGreedily(state, units, locality);
  const best = new Snapshot(compiled);
  best.offer(state);
  return { problem, state, best, repairer: new Repairer(state, random, locality, units) };
}

const go = (): boolean => false;

describe("Repairer", () => {
  test("mends tight greedy placements to the last promise, and the linter agrees", () => {
    let broken = 0;
    for (let seed = 1; seed <= 12; seed += 1) {
      const { problem, state, best, repairer } = greedy(seed);
      if (state.violation > 0) broken += 1;
      repairer.run(4000, best, go);
      assert.equal(best.violation, 0, `seed ${seed}`);
      best.restore(state);
      assert.deepEqual(lintMapping(problem, mappingOf(state)), [], `seed ${seed}`);
    }
    assert.ok(broken >= 6, `only ${broken} were broken to begin with`);
  });

  test("keeps its books: taking everything off leaves nothing exceeded", () => {
    const { state, best, repairer } = greedy(3);
    repairer.run(50, best, go);
    for (const unit of state.hostOf.keys()) {
      state.begin();
      state.move(unit, -1);
    }
    assert.equal(state.violation, 0);
    assert.deepEqual(state.linkFree, state.compiled.linkFree);
    assert.deepEqual(state.cpuFree, state.compiled.cpuFree);
    assert.deepEqual([state.extraLink, state.extraCpu, state.extraMemory], [0, 0, 0]);
  });

  test("ends when told to", () => {
    const { state, best, repairer } = greedy(3);
    const { violation } = state;
    repairer.run(16, best, () => true);
    assert.equal(best.violation, violation);
  });
});
