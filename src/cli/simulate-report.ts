import { formatCpu, formatDuration, milliCpu, millis } from "#base/units.ts";
import { count } from "#cli/quantities.ts";
import { formatTable, printable } from "#cli/table.ts";
import type { ReportPart } from "#formats/scenario-content.ts";
import type { Topology } from "#model/topology.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Event } from "#protocol/http/status.ts";
import { cpuChart } from "#sim/scenario/chart-text.ts";
import type { Decision } from "#sim/scenario/records-seen.ts";
import type { ScenarioResult } from "#sim/scenario/run.ts";
import type { Asked } from "#sim/scenario/user.ts";

/** Lines of one part printed at most; --json has all. */
const rowsMost = 200;

/** "1h2m", "10.25s": to the hundredth of a second below a minute. */
export function moment(atMs: number): string {
  const rounded = Math.round(atMs / 10) * 10;
  return rounded === 0 ? "0s" : formatDuration(millis(rounded));
}

/** A run for people: what was expected, then the parts asked for. */
export function formatResult(
  result: ScenarioResult,
  topology: Topology,
  parts: readonly ReportPart[],
  width: number,
): string {
  const sections = parts.flatMap((part) => {
    switch (part) {
      case "chart":
        return [cpuChart(result.cpu, topology, Number.isFinite(width) ? width : 100)];
      case "table":
        return [decisionTable(result.decisions, width), applianceTable(result)];
      case "events":
        return [eventTable(result.told, width)];
      case "operations":
        return [operationTable(result.operations, width)];
      default:
        return part satisfies never;
    }
  });
  const notes = result.notes.map(({ atMs, text }) => `${moment(atMs)}  ${printable(text)}\n`).join("");
  return [...sections, notes, verdicts(result)].filter((text) => text !== "").join("\n");
}

/** What did not go as expected, and the sum of it. */
function verdicts(result: ScenarioResult): string {
  const { verdicts: all, breach, asked } = result;
  const unmet = all.filter((verdict) => !verdict.met);
  const refused = asked.filter((one) => isRefused(one) && one.ifRefused !== "expected");
  const wrongly = asked.filter(isMistake).length;
  return [
    ...refused.map(
      ({ atMs, verb, subject, state, message, ifRefused }) =>
        `  ${ifRefused === "mistake" ? "!" : "-"} ${moment(atMs)}  ${verb} ${printable(subject)} was ${state === "lost" ? "not answered" : state}${message === undefined ? "" : `: ${printable(message)}`}\n`,
    ),
    ...unmet.map(
      ({ atMs, text, found }) => `  x ${moment(atMs)}  expected: ${text}; but ${printable(found ?? "")}\n`,
    ),
    ...(all.length === 0
      ? []
      : [`${all.length - unmet.length} of ${count(all.length, "expectation")} met\n`]),
    wrongly === 0
      ? ""
      : `${count(wrongly, "step")} refused, and not expected to be: expect: refused, written beside it, would say so\n`,
    breach === undefined
      ? `Every invariant held, looked at after ${result.watched}\n`
      : `BROKEN at ${moment(result.simulatedMs)}: ${breach.invariant}: ${printable(breach.message)}\n`,
  ].join("");
}

/** "five-tasks, seed 1: 10m, 2 hosts, 12345 events". */
export const summaryLine = (result: ScenarioResult): string =>
  `${result.name}, seed ${result.seed}: ${moment(result.simulatedMs)} of ${count(result.hosts, "host")}, ${count(result.events, "event")}, run ${result.traceHash}${result.interrupted ? "; interrupted" : ""}`;

export const isGood = (result: ScenarioResult): boolean =>
  result.breach === undefined &&
  result.verdicts.every((verdict) => verdict.met) &&
  !result.asked.some(isMistake);

const isRefused = ({ state }: Asked): boolean => state === "refused" || state === "lost";
/** Who was not answered has the fault to thank for it, not the scenario. */
export const isMistake = ({ state, ifRefused }: Asked): boolean =>
  state === "refused" && ifRefused === "mistake";

function bounded<Row>(rows: readonly Row[], table: (shown: readonly Row[]) => string): string {
  if (rows.length === 0) return "";
  const more = rows.length > rowsMost ? `and ${rows.length - rowsMost} more; --json has all\n` : "";
  return `${table(rows.slice(0, rowsMost))}${more}`;
}

const decisionTable = (decisions: readonly Decision[], width: number): string =>
  bounded(decisions, (shown) =>
    formatTable<Decision>(
      [
        { heading: "DECIDED", right: true, cell: (row) => moment(row.atMs) },
        { heading: "APPLIANCE", cell: (row) => row.appliance },
        { heading: "FROM", cell: (row) => row.from ?? "-" },
        { heading: "TO", cell: (row) => row.to ?? "-" },
      ],
      shown,
      width,
    ),
  );

type Given = { readonly host: string; readonly appliance: string; readonly values: readonly number[] };

function applianceTable({ cpu }: ScenarioResult): string {
  const rows = [...cpu.appliances].flatMap(([host, lines]) =>
    [...lines]
      .filter(([, values]) => values.some((value) => value > 0))
      .map(([appliance, values]): Given => ({ host, appliance, values })),
  );
  const ran = (values: readonly number[]): number[] => values.filter((value) => value > 0);
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const share = (milli: number): string => formatCpu(milliCpu(Math.round(milli)));
  return bounded(rows, (shown) =>
    formatTable<Given>(
      [
        { heading: "HOST", cell: (row) => row.host },
        { heading: "APPLIANCE", cell: (row) => row.appliance },
        { heading: "LEAST", right: true, cell: (row) => share(Math.min(...ran(row.values))) },
        { heading: "MEAN", right: true, cell: (row) => share(mean(ran(row.values))) },
        { heading: "MOST", right: true, cell: (row) => share(Math.max(...row.values)) },
      ],
      shown,
    ),
  );
}

const eventTable = (events: readonly Event[], width: number): string =>
  bounded(events, (shown) =>
    formatTable<Event>(
      [
        { heading: "TIME", right: true, cell: (row) => moment(row.atMs) },
        { heading: "EVENT", cell: (row) => row.kind },
        { heading: "SUBJECT", cell: (row) => row.subject },
        { heading: "MESSAGE", cell: (row) => row.message },
      ],
      shown,
      width,
    ),
  );

const operationTable = (operations: readonly Operation[], width: number): string =>
  bounded(operations, (shown) =>
    formatTable<Operation>(
      [
        { heading: "ASKED", right: true, cell: (row) => moment(row.createdAtMs) },
        { heading: "OPERATION", cell: (row) => `${row.kind} ${row.ensemble ?? row.host ?? ""}` },
        { heading: "STATE", cell: (row) => row.state },
        {
          heading: "TOOK",
          right: true,
          cell: (row) => (row.endedAtMs === undefined ? "-" : moment(row.endedAtMs - row.createdAtMs)),
        },
        { heading: "MESSAGE", cell: (row) => row.message },
      ],
      shown,
      width,
    ),
  );
