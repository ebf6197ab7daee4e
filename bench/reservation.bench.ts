import { median, quantile } from "#base/quantiles.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { observeMachine } from "./machine-itself.ts";
import { competitors, executionMs, kinds, observe, periodMs } from "./reserved-job.ts";

const periods = 1000;

/** What a busy machine really gets of its reservation, period by period, while four others want everything. */
export const benchmark: Benchmark = {
  name: "reservation",
  about: "CPU time received / reserved in each period, against four competitors",
  async run({ signal, progress }): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    for (const kind of kinds) {
      signal.throwIfAborted();
      progress(kind);
      const { received } = await observe(kind, periods, signal);
      rows.push(...figures(`${kind}, ${executionMs} of ${periodMs} ms`, received, true));
    }
    progress("the machine itself");
    const alone = await observeMachine(periods, { periodMs, executionMs, competitors }, signal);
    if (alone.length > 0)
      rows.push(...figures("the machine itself: a real-time program alone", alone, false));
    return rows;
  },
};

/** `isAimed`: it is ours. What the machine itself does is told for comparison, and subtracted from nothing. */
function figures(name: string, received: readonly number[], isAimed: boolean): BenchRow[] {
  const shown = [
    ["median", median(received), 0.99],
    ["1%", quantile(received, 0.01), undefined],
    ["worst period", Math.min(...received), 0.95],
  ] as const;
  return shown.map(([which, value, atLeast]): BenchRow => {
    const least = isAimed ? atLeast : undefined;
    return {
      case: `${name}, ${received.length} periods`,
      metric: `received / reserved, ${which}`,
      unit: "ratio",
      reference: "-",
      aim: least === undefined ? "published" : `>= ${least}`,
      value,
      low: Math.min(...received),
      high: Math.max(...received),
      ok: least === undefined || value >= least,
    };
  });
}
