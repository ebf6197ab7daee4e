import { formatFigure } from "../harness.ts";
import { frameArrivals, packetBins } from "./arrivals.ts";
import type { Played } from "./run-stage.ts";

/**
 * A panel for each stage: above, the deviation of every frame, a dot each, a colour for each film; below, how much of
 * what should have come came. Pure: played stages in, the text of an SVG file out.
 */
const columns = 3;
const panel = { width: 330, height: 210, left: 40, top: 44, plotHeight: 105, barsTop: 162, barsHeight: 30 };
const margin = 14;
const headHeight = 40;
/** Beyond it dots are drawn at the edge. */
const deviationMsMax = 60;
const aimMs = 10;
const binMs = 500;
const colours = ["#1b6ca8", "#2a9d8f", "#e9a23b", "#8a4fbf", "#d1495b"];

export function plot(title: string, stages: readonly Played[]): string {
  const rows = Math.ceil(stages.length / columns);
  const width = columns * (panel.width + margin) + margin;
  const height = headHeight + rows * (panel.height + margin) + margin;
  const panels = stages.map((played, index) => {
    const x = margin + (index % columns) * (panel.width + margin);
    const y = headHeight + Math.floor(index / columns) * (panel.height + margin);
    return `<g transform="translate(${x} ${y})">${panelOf(played)}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="10" fill="#333">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${margin}" y="24" font-size="15">${escaped(title)}</text>`,
    ...panels,
    "</svg>\n",
  ].join("\n");
}

function panelOf(played: Played): string {
  const first = played.arrivals[0]?.atUs ?? 0;
  const last = played.arrivals.at(-1)?.atUs ?? first + 1;
  const plotWidth = panel.width - panel.left - 6;
  const x = (atUs: number): number => panel.left + (plotWidth * (atUs - first)) / (last - first);
  const y = (ms: number): number => {
    const shown = Math.max(-deviationMsMax, Math.min(deviationMsMax, ms));
    return panel.top + (panel.plotHeight * (deviationMsMax - shown)) / (2 * deviationMsMax);
  };
  const { deviationMsMax: worst, deviationMsP99: p99, lossRatio, receivedRatio } = played.fiveFilms;
  const figures = `five films: max ${formatFigure(worst)} ms, p99 ${formatFigure(p99)} ms, ${formatFigure(lossRatio * 100)}% lost, ${formatFigure(receivedRatio * 100)}% received`;
  return [
    `<rect width="${panel.width}" height="${panel.height}" fill="none" stroke="#ccc"/>`,
    `<text x="8" y="16" font-size="12" font-weight="bold">${escaped(played.name)}</text>`,
    `<text x="8" y="31">${escaped(figures)}</text>`,
    `<rect x="${panel.left}" y="${y(aimMs)}" width="${plotWidth}" height="${y(-aimMs) - y(aimMs)}" fill="#e8f3e8"/>`,
    ...[-deviationMsMax, -20, 0, 20, deviationMsMax].map((ms) => gridLine(ms, y(ms), plotWidth)),
    dots(played, x, y),
    bars(played, x),
    `<path d="M${round(x(played.fifthAtUs))} ${panel.top}V${panel.barsTop + panel.barsHeight}" stroke="#000" stroke-dasharray="3 2"/>`,
    `<text x="${round(x(played.fifthAtUs)) + 3}" y="${panel.top + 9}">fifth film</text>`,
    `<text x="${panel.width - 6}" y="${panel.height - 4}" text-anchor="end">${formatFigure((last - first) / 1e6)} s</text>`,
  ].join("\n");
}

function gridLine(ms: number, y: number, width: number): string {
  const label = `<text x="${panel.left - 4}" y="${round(y + 3)}" text-anchor="end">${ms} ms</text>`;
  return `<path d="M${panel.left} ${round(y)}h${width}" stroke="#ddd"/>${label}`;
}

function dots(played: Played, x: (atUs: number) => number, y: (ms: number) => number): string {
  const frames = frameArrivals(played.arrivals);
  const films = [...new Set(frames.map(({ film }) => film))].sort((a, b) => a - b);
  return films
    .map((film, index) => {
      const own = frames.filter((frame) => frame.film === film);
      // A line of no length with round ends is a dot, and the shortest way to write one.
      const path = own.map(({ atUs, deviationMs }) => `M${round(x(atUs))} ${round(y(deviationMs))}h0`);
      const colour = colours[index % colours.length];
      return `<path d="${path.join("")}" stroke="${colour}" stroke-width="1.8" stroke-linecap="round" fill="none"/>`;
    })
    .join("\n");
}

/** What came in each half second, of what all films under way send in it. */
function bars(played: Played, x: (atUs: number) => number): string {
  const bins = packetBins(played.arrivals, binMs * 1000);
  const each = bins.map(({ fromUs, ratio }) => {
    const height = panel.barsHeight * Math.min(1, ratio);
    const width = x(fromUs + binMs * 1000) - x(fromUs) - 1;
    return `<rect x="${round(x(fromUs))}" y="${round(panel.barsTop + panel.barsHeight - height)}" width="${round(Math.max(0, width))}" height="${round(height)}"/>`;
  });
  const frame = `<text x="${panel.left - 4}" y="${panel.barsTop + 8}" text-anchor="end">100%</text>`;
  return `${frame}<g fill="#9fb4c7">${each.join("")}</g>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
