import { errorTable } from "#base/errors.ts";
import { formatDuration, micros, millis } from "#base/units.ts";
import type { Micros } from "#base/units.ts";
import type { Arguments } from "#cli/arguments.ts";
import { lineWidth } from "#cli/command.ts";
import type { CommandContext } from "#cli/command.ts";
import { parsed, readEnsemble, readTextFile } from "#cli/ensemble-file.ts";
import { bandwidth, count } from "#cli/quantities.ts";
import { formatTable, printable } from "#cli/table.ts";
import { parseTopology } from "#formats/topology.ts";
import { planOffline } from "#planner/offline.ts";
import type { OfflinePlan } from "#planner/offline.ts";

/** Places ensembles on the cluster a file describes; asks no manager. Exit code 3 when a promise cannot be kept. */
export async function planOnTopology(
  topologyFile: string,
  given: Arguments,
  context: CommandContext,
): Promise<number> {
  const text = await readTextFile(topologyFile, context);
  const topology = parsed(topologyFile, parseTopology(text, { file: topologyFile }));
  const ensembles = [];
  for (const file of given.positionals) ensembles.push(await readEnsemble(file, context));
  const plan = planOffline(topology, ensembles, {
    seed: given.number("seed") ?? 1,
    elapsedMs: () => context.clock.monotonic(),
    shouldStop: () => context.signal.aborted,
  });
  context.signal.throwIfAborted();
  if (given.has("json")) context.terminal.out(`${JSON.stringify(plan, undefined, 2)}\n`);
  else context.terminal.out(formatOfflinePlan(plan, lineWidth(context.terminal)));
  return plan.violations.length === 0 ? 0 : errorTable.unsatisfiable.exit;
}

export function formatOfflinePlan(plan: OfflinePlan, width?: number): string {
  const placement = formatTable<readonly [string, string]>(
    [
      { heading: "APPLIANCE", cell: ([appliance]) => appliance },
      { heading: "HOST", cell: ([, host]) => host },
    ],
    Object.entries(plan.placement),
  );
  const paths = formatTable<OfflinePlan["paths"][number]>(
    [
      { heading: "LINK", cell: (row) => `${row.from} – ${row.to}` },
      { heading: "PROMISED", right: true, cell: (row) => bandwidth(row.bandwidthBps || undefined) },
      { heading: "CONNECTION", cell: (row) => row.connection },
      { heading: "LATENCY", right: true, cell: (row) => latency(micros(row.latencyUs)) },
      { heading: "PATH", cell: (row) => row.nodes.join(" > ") },
    ],
    plan.paths,
    width,
  );
  const violations = plan.violations.map(
    ({ message, remedy }) => `  x ${printable(message)}\n      remedy: ${printable(remedy)}\n`,
  );
  const figures = `score ${plan.score.toPrecision(4)}, placed in ${formatDuration(millis(plan.timeMs))}`;
  return [
    placement,
    ...(plan.paths.length > 0 ? [paths] : []),
    ...(violations.length > 0 ? [`Cannot be kept:\n${violations.join("")}`] : []),
    `${violations.length === 0 ? "Every promise can be kept" : `${count(violations.length, "promise")} cannot be kept`}; ${figures}\n`,
  ].join("\n");
}

const latency = (value: Micros): string => (value === 0 ? "0" : formatDuration(millis(value / 1000)));
