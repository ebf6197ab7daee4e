import { formatDuration, millis } from "#base/units.ts";
import { age, bandwidth, reservation } from "#cli/quantities.ts";
import { formatTable } from "#cli/table.ts";
import { formatValue } from "#control/adaptation/metrics.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import type {
  ApplianceStatus,
  EnsembleStatus,
  MeasurementStatus,
  StrategyStatus,
} from "#protocol/http/status.ts";

/** What is reserved of CPU time, how it is kept, and how well. */
export function reservedText({ reservation: told }: ApplianceStatus): string | undefined {
  if (told === undefined) return undefined;
  const { enforcement, dispatches, misses = 0, latestUs } = told;
  const kept = enforcement === undefined ? ", not kept yet" : `, kept by ${enforcement}`;
  const late =
    latestUs === undefined || misses === 0 ? "" : `, by ${formatDuration(millis(latestUs / 1000))} at most`;
  const missed = dispatches === undefined ? "" : `; ${misses} of ${dispatches} missed${late}`;
  return `${reservation(told)}${kept}${missed}`;
}

/** What all its traffic with other hosts is promised. */
export function trafficText({ traffic }: ApplianceStatus): string | undefined {
  if (traffic === undefined) return undefined;
  const { serviceClass, outBps, inBps, outCeilingBps, inCeilingBps } = traffic;
  const way = (word: string, rate?: number, ceiling?: number): string[] => [
    ...(rate === undefined ? [] : [`${bandwidth(rate)} ${word}`]),
    ...(ceiling === undefined ? [] : [`at most ${bandwidth(ceiling)} ${word}`]),
  ];
  return [serviceClass, ...way("out", outBps, outCeilingBps), ...way("in", inBps, inCeilingBps)].join(", ");
}

/** What is measured of an ensemble, and what its strategies did about it. */
export function adaptationTables(
  { measurements = [], strategies = [] }: EnsembleStatus,
  nowMs: number,
  width: number,
): string[] {
  const metrics = formatTable<MeasurementStatus>(
    [
      { heading: "METRIC", cell: (row) => row.metric },
      { heading: "APPLIANCE", cell: (row) => row.appliance },
      { heading: "VALUE", right: true, cell: (row) => formatValue(row.value, unitIn(row.unit)) },
      { heading: "AGE", right: true, cell: (row) => age(row.atMs, nowMs) },
    ],
    measurements,
    width,
  );
  const rules = formatTable<StrategyStatus>(
    [
      { heading: "STRATEGY", cell: (row) => row.name },
      { heading: "WHEN", cell: (row) => row.when },
      { heading: "ACTED", right: true, cell: (row) => String(row.acted) },
      { heading: "REFUSED", right: true, cell: (row) => String(row.refused) },
      { heading: "AGE", right: true, cell: (row) => age(row.lastAtMs, nowMs) },
      { heading: "LAST", optional: true, cell: (row) => row.last ?? "" },
    ],
    strategies,
    width,
  );
  return [...(measurements.length === 0 ? [] : [metrics]), ...(strategies.length === 0 ? [] : [rules])];
}

const unitIn = (text: string | undefined): Unit | undefined =>
  text === "ms" || text === "ratio" || text === "1/s" ? text : undefined;
