import { trafficText } from "#cli/adaptation-text.ts";
import { linkName, shortName } from "#cli/names.ts";
import { bandwidth, reservation } from "#cli/quantities.ts";
import { formatTable, printable } from "#cli/table.ts";
import { machineText } from "#cli/vm-text.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

const signs = {
  create: "+",
  destroy: "-",
  restart: "!",
  resize: "~",
  move: ">",
  "link-add": "+",
  "link-remove": "-",
  "link-change": "~",
  add: "+",
  remove: "-",
  change: "~",
} as const satisfies Record<PlanResult["changes"][number]["action"], string>;

/** What `up` would do: changes, placements with reasons, links with paths, and what would be refused. */
export function formatPlan(plan: PlanResult, width?: number): string {
  const changes = plan.changes.map(
    (change) =>
      `  ${signs[change.action]} ${change.action.padEnd(11)} ${printable(`${change.subject}  ${change.detail}`).trimEnd()}\n`,
  );
  const sections = [
    changes.length === 0 ? "Nothing would change.\n" : `Changes:\n${changes.join("")}`,
    ...(plan.placements.length === 0 ? [] : [placementTable(plan, width)]),
    ...(plan.links.length === 0 ? [] : [linkTable(plan, width)]),
    ...(plan.refusals.length === 0 ? [] : [refusals(plan)]),
    plan.satisfiable
      ? `${plan.ensemble} can be kept as declared.\n`
      : `${plan.ensemble} cannot be satisfied: up would refuse it and change nothing.\n`,
  ];
  return sections.join("\n");
}

const placementTable = (plan: PlanResult, width: number | undefined): string =>
  formatTable<PlanResult["placements"][number]>(
    [
      { heading: "APPLIANCE", cell: (row) => row.appliance },
      { heading: "HOST", cell: (row) => row.host },
      { heading: "MACHINE", optional: true, cell: (row) => machineText(row.vm) },
      { heading: "IMAGE", optional: true, cell: (row) => row.vm?.image ?? "-" },
      { heading: "RESERVED", right: true, optional: true, cell: (row) => reservation(row.reservation) },
      { heading: "KEPT BY", optional: true, cell: (row) => row.reservation?.enforcement ?? "-" },
      { heading: "TRAFFIC", optional: true, cell: (row) => trafficText(row) ?? "-" },
      { heading: "REASON", cell: (row) => row.reason },
    ],
    plan.placements,
    width,
  );

const linkTable = (plan: PlanResult, width: number | undefined): string =>
  formatTable<PlanResult["links"][number]>(
    [
      { heading: "LINK", cell: linkName },
      { heading: "NETWORK", cell: (row) => shortName(row.network) },
      { heading: "PROMISED", right: true, cell: (row) => bandwidth(row.bandwidthBps) },
      { heading: "CONNECTION", cell: (row) => row.connection },
      { heading: "PATH", cell: (row) => row.path.join(" > ") },
    ],
    plan.links,
    width,
  );

const refusals = (plan: PlanResult): string => `Would be refused:\n${refusalLines(plan.refusals)}`;

/** What cannot be kept, each with what to do about it. */
export const refusalLines = (all: PlanResult["refusals"]): string =>
  all
    .map(({ subject, message, remedy }) => {
      const help = remedy === undefined ? "" : `\n      remedy: ${printable(remedy)}`;
      return `  x ${printable(`${subject}: ${message}`)}${help}\n`;
    })
    .join("");
