import { makeCase, swarmProfile } from "#sim/swarm/make-case.ts";
import type { SwarmProfile } from "#sim/swarm/make-case.ts";
import { runCase } from "#sim/swarm/run-case.ts";
import type { SwarmOutcome } from "#sim/swarm/run-case.ts";
import { shrinkCase } from "#sim/swarm/shrink.ts";
import type { SwarmCase } from "#sim/swarm/swarm-case.ts";

/** Enough to see what led to a breach. */
const traceLinesKept = 60;

export type SeedOutcome = SwarmOutcome & { readonly seed: number; readonly case: SwarmCase };

/** Runs one seed of the swarm; the same seed gives the same run, to the last event. */
export async function runSeed(seed: number, profile: SwarmProfile = swarmProfile): Promise<SeedOutcome> {
  const drawn = makeCase(seed, profile);
  return { seed, case: drawn, ...(await runCase(drawn)) };
}

/** The smallest case found in at most `runs` runs that breaks the same invariant, and how it goes. */
export async function shrinkSeed(failed: SeedOutcome, runs: number): Promise<SeedOutcome> {
  const invariant = failed.violation?.invariant;
  if (invariant === undefined) return failed;
  let best: SeedOutcome = { ...failed, ...(await runCase(failed.case, traceLinesKept)) };
  await shrinkCase(failed.case, runs, async (smaller) => {
    const outcome = await runCase(smaller, traceLinesKept);
    if (outcome.violation?.invariant !== invariant) return false;
    best = { seed: failed.seed, case: smaller, ...outcome };
    return true;
  });
  return best;
}
