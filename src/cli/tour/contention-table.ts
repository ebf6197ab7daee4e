import { quantile } from "#base/quantiles.ts";
import type { ContentionCase } from "#cli/tour/contention.ts";

const quantiles = [0.5, 0.8, 0.95, 0.99] as const;
const barWidth = 46;

/** The three cases as a table: quantiles of the response time, and how far the worst stray from the undisturbed. */
export function contentionTable(cases: readonly ContentionCase[]): string {
  const alone = cases.find((one) => one.name === "alone");
  const header = ["", ...quantiles.map((q) => `p${q * 100}`), "p99 ÷ alone", "bulk"];
  const rows = cases.map((one) => [
    one.name,
    ...quantiles.map((q) => `${quantile(one.responseMs, q).toFixed(2)} ms`),
    alone === undefined ? "" : (quantile(one.responseMs, 0.99) / quantile(alone.responseMs, 0.99)).toFixed(2),
    one.bulkBps === undefined ? "at rest" : `${(one.bulkBps / 1e6).toFixed(0)} Mbit/s`,
  ]);
  const widths = header.map((_, column) =>
    Math.max(...[header, ...rows].map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("   ");
  return [header, ...rows].map((row) => `  ${line(row)}`).join("\n");
}

/** Half, four fifths and nearly all of the requests of each case, as bars on a common logarithmic scale. */
export function contentionPlot(cases: readonly ContentionCase[]): string {
  const marks: readonly [number, string][] = [
    [0.99, "░"],
    [0.8, "▒"],
    [0.5, "█"],
  ];
  const all = cases.flatMap((one) => marks.map(([q]) => quantile(one.responseMs, q)));
  const low = Math.min(...all) / 2;
  const scale = (value: number): number =>
    Math.max(1, Math.round((Math.log(value / low) / Math.log(Math.max(...all) / low)) * barWidth));
  const lines = cases.map((one) => {
    const bar = Array.from({ length: barWidth }, () => " ");
    for (const [q, mark] of marks) bar.fill(mark, 0, scale(quantile(one.responseMs, q)));
    return `  ${one.name.padEnd(9)} ${bar.join("").trimEnd()}`;
  });
  return [...lines, `            █ half   ▒ 80%   ░ 99% of the requests, logarithmic`].join("\n");
}
