import { formatCpu, formatDuration, milliCpu, millis } from "#base/units.ts";
import type { Topology } from "#model/topology.ts";
import type { CpuSeries } from "#sim/scenario/series.ts";

const blocks = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/** Hosts drawn at most; the busiest. */
const hostsMost = 24;
const widthLeast = 20;
const widthMost = 120;

type Line = { readonly label: string; readonly values: readonly number[] };

/**
 * CPU given over time: one line for each appliance on each host, all at one scale. `width`: of the terminal, in
 * characters.
 */
export function cpuChart(series: CpuSeries, topology: Topology, width: number): string {
  if (series.atMs.length === 0) return "";
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  const busiest = topology.hosts
    .map((host) => ({ host, given: total(series.hosts.get(host.id) ?? []) }))
    .toSorted((a, b) => b.given - a.given)
    .slice(0, hostsMost);
  const shown = new Set(busiest.map(({ host }) => host.id));
  const groups = topology.hosts
    .filter((host) => shown.has(host.id))
    .map((host): { readonly title: string; readonly lines: readonly Line[] } => ({
      title: `${host.id}, ${formatCpu(host.cpuMilli)}`,
      lines: linesOf(series, host.id),
    }));
  const labels = Math.max(8, ...groups.flatMap(({ lines }) => lines.map((line) => line.label.length)));
  const room = Math.max(widthLeast, Math.min(widthMost, width - labels - "  ".length - " 1000%".length - 2));
  const bins = binsOf(series.atMs.length, room);
  const full = Math.max(0, ...groups.flatMap(({ lines }) => lines.map(most)));
  if (full === 0) return "No CPU was given to anything\n";
  const text = groups.flatMap(({ title, lines }) => [
    title,
    ...lines.map((line) => `  ${line.label.padEnd(labels)} ${drawn(line, full, bins)} ${peak(line)}`),
  ]);
  const left = topology.hosts.length - groups.length;
  const axis = `  ${" ".repeat(labels)} ${timeAxis(series.atMs, bins.length)}`;
  const more = left > 0 ? [`and ${left} more hosts, which gave less`] : [];
  return `${[`CPU given over time; a full block is ${share(full)}`, ...text, ...more, axis].join("\n")}\n`;
}

function linesOf(series: CpuSeries, host: CpuSeriesHost): readonly Line[] {
  const each = [...(series.appliances.get(host) ?? [])];
  if (each.length === 0) return [{ label: "in all", values: series.hosts.get(host) ?? [] }];
  return each.map(([label, values]) => ({ label, values }));
}
type CpuSeriesHost = Parameters<CpuSeries["hosts"]["get"]>[0];

type Bin = readonly [from: number, to: number];

/** So many samples spread over at most so many columns. */
function binsOf(samples: number, room: number): readonly Bin[] {
  const columns = Math.min(samples, room);
  return Array.from({ length: columns }, (_, column): Bin => {
    const from = Math.floor((column * samples) / columns);
    return [from, Math.max(from + 1, Math.floor(((column + 1) * samples) / columns))];
  });
}

function drawn({ values }: Line, full: number, bins: readonly Bin[]): string {
  return bins
    .map(([from, to]) => {
      const part = values.slice(from, to);
      const mean = part.reduce((sum, value) => sum + value, 0) / Math.max(1, to - from);
      const eighths = Math.round((mean / full) * 8);
      // What runs at all is seen.
      return blocks[Math.min(8, mean > 0 ? Math.max(1, eighths) : 0)];
    })
    .join("");
}

const most = ({ values }: Line): number => values.reduce((highest, value) => Math.max(highest, value), 0);
const share = (milli: number): string => formatCpu(milliCpu(Math.round(milli)));
const peak = (line: Line): string => share(most(line)).padStart(6);

function timeAxis(atMs: readonly number[], columns: number): string {
  const first = formatDuration(millis(atMs[0] ?? 0)).replace(/^0ms$/, "0s");
  const last = formatDuration(millis(atMs.at(-1) ?? 0));
  const heading = "most".padStart(7);
  return `${first}${last.padStart(Math.max(last.length + 1, columns - first.length))}${heading}`;
}
