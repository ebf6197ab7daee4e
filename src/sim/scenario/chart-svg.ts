import { formatCpu, formatDuration, millis } from "#base/units.ts";
import type { HostSpec, Topology } from "#model/topology.ts";
import type { CpuSeries } from "#sim/scenario/series.ts";

/** Told apart also by those who see no red or no green (Okabe and Ito). */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"];
const plot = { left: 60, width: 720, height: 120, gap: 60, top: 50, key: 160 } as const;
const hostsMost = 40;

/** CPU given over time as SVG: one plot a host, appliances stacked, as high as the host's processors. */
export function cpuSvg(series: CpuSeries, topology: Topology, title: string): string {
  const hosts = topology.hosts.slice(0, hostsMost);
  const height = plot.top + hosts.length * (plot.height + plot.gap);
  const width = plot.left + plot.width + plot.key;
  const names = [...new Set(hosts.flatMap((host) => [...(series.appliances.get(host.id)?.keys() ?? [])]))];
  const colourOf = new Map<string, string>(
    names.map((name, index) => [name, colours[index % colours.length] ?? ""]),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${plot.left}" y="24" font-size="16">${escaped(title)}</text>`,
    ...hosts.map((host, index) =>
      hostPlot(series, host, plot.top + index * (plot.height + plot.gap), colourOf),
    ),
    "</svg>",
    "",
  ].join("\n");
}

function hostPlot(
  series: CpuSeries,
  host: HostSpec,
  top: number,
  colourOf: ReadonlyMap<string, string>,
): string {
  const bottom = top + plot.height;
  const end = series.atMs.at(-1) ?? 1;
  const x = (atMs: number): string => (plot.left + (atMs / Math.max(1, end)) * plot.width).toFixed(1);
  const y = (milli: number): string => (bottom - (milli / host.cpuMilli) * plot.height).toFixed(1);
  const known = series.appliances.get(host.id);
  const layers: ReadonlyMap<string, readonly number[]> =
    known === undefined || known.size === 0 ? new Map([["in all", series.hosts.get(host.id) ?? []]]) : known;
  const below = series.atMs.map(() => 0);
  const areas = [...layers].flatMap(([name, values]) => {
    const lower = series.atMs.map((atMs, index) => `${x(atMs)},${y(below[index] ?? 0)}`);
    for (const index of below.keys()) below[index] = (below[index] ?? 0) + (values[index] ?? 0);
    const upper = series.atMs.map((atMs, index) => `${x(atMs)},${y(below[index] ?? 0)}`);
    if (!values.some((value) => value > 0)) return [];
    const colour = colourOf.get(name) ?? colours[0];
    return [
      `<polygon points="${[...upper, ...lower.toReversed()].join(" ")}" fill="${colour}" stroke="#ffffff" stroke-width="0.5"><title>${escaped(name)}</title></polygon>`,
    ];
  });
  const right = plot.left + plot.width;
  const keys = [...layers.keys()].slice(0, 8).map((name, index) => {
    const at = top + 10 + index * 16;
    return `<rect x="${right + 12}" y="${at - 9}" width="10" height="10" fill="${colourOf.get(name) ?? colours[0]}"/><text x="${right + 28}" y="${at}">${escaped(name)}</text>`;
  });
  return [
    `<text x="${plot.left}" y="${top - 8}">${escaped(host.id)}</text>`,
    `<text x="${plot.left - 6}" y="${top + 10}" text-anchor="end">${formatCpu(host.cpuMilli)}</text>`,
    `<text x="${plot.left - 6}" y="${bottom}" text-anchor="end">0%</text>`,
    ...areas,
    `<rect x="${plot.left}" y="${top}" width="${plot.width}" height="${plot.height}" fill="none" stroke="#666666"/>`,
    `<text x="${plot.left}" y="${bottom + 16}">0s</text>`,
    `<text x="${right}" y="${bottom + 16}" text-anchor="end">${formatDuration(millis(end))}</text>`,
    ...keys,
  ].join("\n");
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
