/**
 * What every benchmark shares: the row it prints, medians with their range, and the table. A benchmark is one file,
 * `bench/NAME.bench.ts`, that exports `benchmark`; `bench/main.ts` finds and runs it.
 */

import { median } from "#base/quantiles.ts";

/** One measured figure. `value` is the median of several runs, `low` and `high` are the extremes of them. */
export type BenchRow = {
  /** What was measured on: "40 Mbit/s", "500 appliances on 100 hosts, tree". */
  case: string;
  metric: string;
  /** Of `value`, `low` and `high`: "ms", "%", "MiB". */
  unit: string;
  /** The figure to compare with, and whose it is; "-" when there is none. */
  reference: string;
  /** What SPECIFICATION.md promises, in words: "<= 0.5". */
  aim: string;
  value: number;
  low: number;
  high: number;
  /** Whether the aim was met by `value`. */
  ok: boolean;
};

export type BenchOptions = {
  signal: AbortSignal;
  progress: (line: string) => void;
  /** Of those it has, what was asked for. Absent: all. */
  cases?: ReadonlySet<string>;
};

export type Benchmark = {
  name: string;
  about: string;
  /** Parts that can be run alone. */
  cases?: readonly string[];
  run(options: BenchOptions): Promise<BenchRow[]>;
};

/** `{ value, low, high }` of the values of several runs, ready to be spread into a row. */
export function range(values: readonly number[]): { value: number; low: number; high: number } {
  return { value: median(values), low: Math.min(...values), high: Math.max(...values) };
}

/** Three significant digits, without an exponent for the sizes that occur. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

const columns = ["case", "metric", "value", "low", "high", "unit", "reference", "aim", "ok"] as const;
const rightAligned: ReadonlySet<string> = new Set(["value", "low", "high"]);

/** The rows as a table for people, one line each, without a trailing newline. */
export function formatTable(rows: readonly BenchRow[]): string {
  const cells = rows.map((row) =>
    columns.map((column) => {
      const cell = row[column];
      if (typeof cell === "number") return formatFigure(cell);
      if (typeof cell === "boolean") return cell ? "yes" : "NO";
      return cell;
    }),
  );
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((row) => (row[index] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return rightAligned.has(columns[index] ?? "") ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(columns), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)].join("\n");
}
