import { formatDuration, millis } from "#base/units.ts";
import { age, bandwidth, count, reservation } from "#cli/quantities.ts";
import { formatTable } from "#cli/table.ts";
import { formatValue } from "#control/adaptation/metrics.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import type {
  ApplianceStatus,
  EnsembleStatus,
  MeasurementStatus,
  MonitorStatus,
  StrategyStatus,
  TrafficStatus,
} from "#protocol/http/status.ts";

/** What is reserved of CPU time, how it is kept, and how well. */
export function reservedText({ reservation: told }: ApplianceStatus): string | undefined {
  if (told === undefined) return undefined;
  const { enforcement, dispatches, misses, latestUs } = told;
  const kept = enforcement === undefined ? ", not kept yet" : `, kept by ${enforcement}`;
  const late =
    latestUs === undefined || misses === undefined || misses === 0
      ? ""
      : `, by ${formatDuration(millis(latestUs / 1000))} at most`;
  const missed =
    dispatches === undefined || misses === undefined ? "" : `; ${misses} of ${dispatches} missed${late}`;
  return `${reservation(told)}${kept}${missed}`;
}

/** "3 programs, round-robin, 2ms/10ms" */
export function teamText(team: NonNullable<ApplianceStatus["teams"]>[number]): string {
  const { jobs, policy, executionUs, periodUs } = team;
  const reserved =
    executionUs === undefined || periodUs === undefined
      ? "what others leave"
      : reservation({ executionUs, periodUs });
  return `${count(jobs, "program")}, ${policy}, ${reserved}`;
}

/** What all its traffic with other hosts is promised. */
export function trafficText({
  traffic,
}: {
  readonly traffic?: TrafficStatus | undefined;
}): string | undefined {
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
  { monitors = [], measurements = [], strategies = [] }: EnsembleStatus,
  nowMs: number,
  width: number,
): string[] {
  const rows = metricRows({ monitors, measurements });
  const metrics = formatTable<MetricRow>(
    [
      { heading: "METRIC", cell: (row) => row.metric },
      { heading: "APPLIANCE", cell: (row) => row.appliance },
      { heading: "VALUE", right: true, cell: valueText },
      { heading: "AGE", right: true, cell: (row) => age(row.atMs, nowMs) },
      { heading: "PROBLEM", optional: true, cell: (row) => problemText(row, nowMs) },
    ],
    rows,
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
  return [...(rows.length === 0 ? [] : [metrics]), ...(strategies.length === 0 ? [] : [rules])];
}

/** One line of what is measured; without a value, of a monitor that told nothing yet. */
type MetricRow = Pick<MeasurementStatus, "metric" | "appliance" | "unit"> &
  Pick<MonitorStatus, "problem" | "sinceMs"> & {
    readonly value?: number;
    readonly atMs?: number;
  };

/** Every metric, with the problem of its monitor; and monitors nothing is known of but that they are declared. */
function metricRows({
  monitors,
  measurements,
}: {
  readonly monitors: readonly MonitorStatus[];
  readonly measurements: readonly MeasurementStatus[];
}): MetricRow[] {
  const owner = new Map(
    measurements.map((row) => [row, monitors.find(({ name }) => isOf(row.metric, name))]),
  );
  const silent = monitors.filter((monitor) => ![...owner.values()].includes(monitor));
  return [
    ...measurements.map((row) => ({ ...row, ...troubleOf(owner.get(row)) })),
    ...silent.map((one) => ({ metric: one.name, appliance: one.appliance, ...troubleOf(one) })),
  ];
}

const isOf = (metric: string, monitor: string): boolean =>
  metric === monitor || metric.startsWith(`${monitor}.`);

const troubleOf = (monitor?: MonitorStatus): Pick<MonitorStatus, "problem" | "sinceMs"> =>
  monitor?.problem === undefined ? {} : { problem: monitor.problem, sinceMs: monitor.sinceMs };

const valueText = ({ value, unit }: MetricRow): string =>
  value === undefined ? "-" : formatValue(value, unitIn(unit));

const problemText = ({ problem, sinceMs }: MetricRow, nowMs: number): string =>
  problem === undefined ? "" : `for ${age(sinceMs, nowMs)}: ${problem}`;

const unitIn = (text: string | undefined): Unit | undefined =>
  text === "ms" || text === "ratio" || text === "1/s" ? text : undefined;
