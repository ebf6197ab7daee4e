import { availableParallelism } from "node:os";
import { swarmProfile } from "#sim/swarm/make-case.ts";
import { runSeeds } from "../test/sim/pool.ts";
import type { SeedReport } from "../test/sim/pool.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

const hourMs = 3_600_000;
const progressEvery = 500;

/**
 * Clouds drawn from seeds, with the faults drawn with them, every invariant checked after every event. 200 seeds as in
 * the tests; CONSORT_SIM_SEEDS=10000 for the long run, CONSORT_SEED for another first one.
 */
export const benchmark: Benchmark = {
  name: "seeds",
  about: "simulated clouds under faults: violated invariants, and how fast they run",
  async run({ signal, progress }) {
    const count = Number(process.env["CONSORT_SIM_SEEDS"] ?? 200);
    const first = Number(process.env["CONSORT_SEED"] ?? 1);
    const startedAt = performance.now();
    let seen = 0;
    const reports = await runSeeds(
      Array.from({ length: count }, (_, index) => first + index),
      {
        profile: swarmProfile,
        signal,
        onReport: ({ told }) => {
          seen += 1;
          if (told !== undefined) progress(told);
          if (seen % progressEvery === 0) progress(`${seen} of ${count} seeds`);
          return false;
        },
      },
    );
    return rowsOf(reports, { first, elapsedMs: performance.now() - startedAt });
  },
};

function rowsOf(
  reports: readonly SeedReport[],
  { first, elapsedMs }: { first: number; elapsedMs: number },
): BenchRow[] {
  const cores = availableParallelism();
  const sum = (of: (report: SeedReport) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const violations = reports.filter((report) => report.violation !== undefined).length;
  const perSecond = reports.length / (elapsedMs / 1000);
  const row = (metric: string, unit: string, value: number, aim = "-", ok = true): BenchRow => ({
    case: `seeds ${first} to ${first + reports.length - 1}, ${cores} cores`,
    metric,
    unit,
    reference: "-",
    aim,
    value,
    low: value,
    high: value,
    ok,
  });
  return [
    row("seeds run", "seeds", reports.length),
    row("violated invariants", "seeds", violations, "0", violations === 0),
    row(
      "events",
      "events",
      sum((report) => report.events),
    ),
    row("simulated time", "h", sum((report) => report.simulatedMs) / hourMs),
    row("speed", "seeds/s", perSecond, ">= 10 a core", perSecond >= 10 * cores),
    row("real time", "s", elapsedMs / 1000),
  ];
}
