import { median, quantile } from "#base/quantiles.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { observeSwitches } from "./machine-itself.ts";
import { executionMs, kinds, observe, periodMs } from "./reserved-job.ts";

const periods = 500;
const aimMs = 0.1;

/** How late slots begin, and how regularly the job itself starts in each period, while four others want everything. */
export const benchmark: Benchmark = {
  name: "jitter",
  about: "lateness of slots of the dispatch table, and of a job's start in each period per back end",
  async run({ signal, progress }): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    for (const kind of kinds) {
      signal.throwIfAborted();
      progress(kind);
      const { startsMs, slotsMs } = await observe(kind, periods, signal);
      if (slotsMs.length > 0) {
        rows.push(...figures(`${kind}, slots of ${executionMs} ms`, "slot begins late by", slotsMs, aimMs));
      }
      rows.push(
        ...figures(`${kind}, ${executionMs} of ${periodMs} ms`, "job starts off its time by", startsMs),
      );
    }
    const { lateMs } = await observeSwitches(periods, executionMs, signal);
    const itself = "the machine itself: a bare real-time program";
    if (lateMs.length > 0) rows.push(...figures(itself, "wakes up late by", lateMs));
    return rows;
  },
};

function figures(name: string, metric: string, values: readonly number[], p99MsMax?: number): BenchRow[] {
  const shown = [
    ["p50", median(values)],
    ["p99", quantile(values, 0.99)],
    ["worst", Math.max(...values)],
  ] as const;
  return shown.map(([which, value]): BenchRow => {
    const isAimed = which === "p99" && p99MsMax !== undefined;
    return {
      case: name,
      metric: `${metric}, ${which}`,
      unit: "ms",
      reference: "-",
      aim: isAimed ? `<= ${p99MsMax}` : "published",
      value,
      low: Math.min(...values),
      high: Math.max(...values),
      ok: !isAimed || value <= p99MsMax,
    };
  });
}
