import { median, quantile } from "#base/quantiles.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { executionMs, kinds, observe, periodMs } from "./reserved-job.ts";

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
      const row = {
        case: `${kind}, ${executionMs} of ${periodMs} ms, ${received.length} periods`,
        unit: "ratio",
        reference: "-",
        low: Math.min(...received),
        high: Math.max(...received),
      };
      const worst = Math.min(...received);
      const onePercent = quantile(received, 0.01);
      rows.push(
        {
          ...row,
          metric: "received / reserved, median",
          aim: ">= 0.99",
          value: median(received),
          ok: median(received) >= 0.99,
        },
        { ...row, metric: "received / reserved, 1%", aim: "published", value: onePercent, ok: true },
        {
          ...row,
          metric: "received / reserved, worst period",
          aim: ">= 0.95",
          value: worst,
          ok: worst >= 0.95,
        },
      );
    }
    return rows;
  },
};
