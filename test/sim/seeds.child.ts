import { describeFailure } from "#sim/swarm/describe.ts";
import { runSeed, shrinkSeed } from "#sim/swarm/run-seed.ts";
import type { SeedOrder, SeedReport } from "./pool.ts";

/** Runs the seeds it is told over its channel, one after the other, and answers each with a report. */
const runsToShrink = Number(process.env["CONSORT_SIM_SHRINK"] ?? 150);

process.on("message", (order) => void serve(order as SeedOrder));

async function serve({ seeds, profile }: SeedOrder): Promise<void> {
  for (const seed of seeds) {
    const outcome = await runSeed(seed, profile);
    const { events, simulatedMs, traceHash, violation } = outcome;
    const report: SeedReport = { seed, events, simulatedMs, traceHash };
    if (violation === undefined) process.send?.(report);
    else {
      const small = runsToShrink === 0 ? outcome : await shrinkSeed(outcome, runsToShrink);
      process.send?.({ ...report, violation, told: describeFailure(small) } satisfies SeedReport);
    }
  }
}
