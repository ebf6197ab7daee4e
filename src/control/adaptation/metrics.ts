import type { MonitorSource, MonitorSpec } from "#model/ensemble.ts";

/** What every source tells by itself, and in which unit; programs and pages tell what they like. */
const unitsOf: Readonly<Record<MonitorSource["kind"], Readonly<Record<string, Unit>>>> = {
  rtp: { "frame-rate": "1/s", jitter: "ms", deviation: "ms", loss: "ratio", packets: "1/s" },
  scheduling: { misses: "1/s", usage: "ratio" },
  script: {},
  http: {},
};

export type Unit = "1/s" | "ms" | "ratio";

/** What a source tells by itself, or is named of it; undefined: whatever its program or page does. */
export function metricsOf(source: MonitorSource): readonly string[] | undefined {
  if ("metrics" in source && source.metrics !== undefined) return Object.keys(source.metrics);
  const metrics = Object.keys(unitsOf[source.kind]);
  return metrics.length === 0 ? undefined : metrics;
}

/** "video.jitter"; "video" where the monitor measures one thing. */
export const fullMetric = (monitor: string, metric: string): string =>
  metric === "" ? monitor : `${monitor}.${metric}`;

/** The monitor that tells this metric: the one with the longest name, as names may hold dots. */
export function monitorOf(metric: string, monitors: readonly MonitorSpec[]): MonitorSpec | undefined {
  return monitors
    .filter(({ name }) => metric === name || metric.startsWith(`${name}.`))
    .toSorted((a, b) => b.name.length - a.name.length)[0];
}

export function unitOf(metric: string, monitor: MonitorSpec | undefined): Unit | undefined {
  return monitor && unitOfSource(monitor.source.kind, metric.slice(monitor.name.length + 1));
}

/** Of a metric as its source calls it: "jitter". */
export const unitOfSource = (kind: MonitorSource["kind"], metric: string): Unit | undefined =>
  unitsOf[kind][metric];

/** (31.42, "ms") → "31.4 ms"; (0.0153, "ratio") → "1.53%". */
export function formatValue(value: number, unit: Unit | undefined): string {
  if (unit === "ratio") return `${Number((value * 100).toPrecision(3))}%`;
  const number = String(Number(value.toPrecision(4)));
  if (unit === undefined) return number;
  return unit === "ms" ? `${number} ms` : `${number}/s`;
}
