import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, test } from "node:test";
import { invariants } from "#sim/checks/breach.ts";
import { swarmProfile } from "#sim/swarm/make-case.ts";
import { mutants } from "./mutants.ts";
import type { Mutant } from "./mutants.ts";
import { runSeeds } from "./pool.ts";
import type { PoolOptions } from "./pool.ts";

/** A defect that 500 clouds do not show would not be found by the 200 of every change either. */
const seedsMax = 500;
const seeds = Array.from({ length: seedsMax }, (_, index) => index + 1);
const root = join(import.meta.dirname, "../..");

const optionsOf = (mutant: Mutant, signal: AbortSignal): PoolOptions => ({
  profile: { ...swarmProfile, machines: 0, consolidations: 0, ...mutant.profile },
  signal,
  processes: 1,
  env: { CONSORT_MUTANT: mutant.name, CONSORT_SIM_SHRINK: "0" },
});

test("every invariant has a mutant that breaks it", () => {
  const broken = new Set(mutants.map((mutant) => mutant.breaks));
  assert.deepEqual([...broken].sort(), [...invariants].sort());
});

describe("the swarm finds within 500 seeds that", { concurrency: 2 }, () => {
  for (const mutant of mutants) {
    it(mutant.name, async (t) => {
      const source = readFileSync(join(root, mutant.file), "utf8");
      assert.equal(source.split(mutant.was).length, 2, `${mutant.file} has this once: ${mutant.was}`);
      const options = optionsOf(mutant, t.signal);
      const reports = await runSeeds(seeds, {
        ...options,
        execArgv: ["--import", join(import.meta.dirname, "mutate.ts")],
        onReport: ({ violation }) => violation?.invariant === mutant.breaks,
      });
      const found = reports.findLast(({ violation }) => violation?.invariant === mutant.breaks);
      const others = reports.flatMap(({ violation }) => violation?.message ?? []).slice(0, 3);
      assert.ok(found, `not found in ${reports.length} seeds; found instead: ${others.join("\n")}`);
      t.diagnostic(`seed ${found.seed}, after ${reports.length} seeds: ${found.violation?.message}`);
      const sound = await runSeeds([found.seed], options);
      assert.equal(sound[0]?.violation, undefined, sound[0]?.told);
    });
  }
});
