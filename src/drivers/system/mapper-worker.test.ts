import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { mapperWorker } from "#drivers/system/mapper-worker.ts";
import { solveMapping } from "#planner/mapper.ts";
import { plantProblem } from "#planner/planted.ts";

const never = new AbortController().signal;
const threads = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === "MessagePort").length;

function problemOf(appliances: number, hosts: number) {
  const { topology, ensemble } = plantProblem(
    { network: "tree", hosts, sites: 2, appliances, graph: "random3", load: 0.6 },
    seededRandom(3),
  );
  return { topology, ensembles: [ensemble], existing: [] };
}

describe("mapperWorker()", () => {
  test("answers from its thread as a direct call does", async () => {
    const problem = problemOf(40, 16);
    const mapping = await mapperWorker({ seed: 5 }).solve(problem, never);
    assert.deepEqual(mapping, solveMapping(problem, { seed: 5 }));
  });

  test("answers a small problem as a direct call does", async () => {
    const problem = problemOf(6, 4);
    const mapping = await mapperWorker({ seed: 5 }).solve(problem, never);
    assert.deepEqual(mapping, solveMapping(problem, { seed: 5 }));
  });

  test("rejects with the reason when aborted, and its thread is gone", async () => {
    const before = threads();
    const life = new AbortController();
    // Effort without end: only the abort can end it.
    const solving = mapperWorker({ seed: 1, effort: 1e6 }).solve(problemOf(200, 64), life.signal);
    assert.ok(threads() > before, "the thread is there");
    const reason = new Error("no longer wanted");
    life.abort(reason);
    await assert.rejects(solving, reason);
    assert.equal(threads(), before);
  });

  test("does not begin when already aborted", async () => {
    const before = threads();
    await assert.rejects(mapperWorker({ seed: 1 }).solve(problemOf(40, 16), AbortSignal.abort()), {
      name: "AbortError",
    });
    assert.equal(threads(), before);
  });
});
