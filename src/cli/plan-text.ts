import { bandwidth } from "#cli/quantities.ts";
import { formatTable, printable } from "#cli/table.ts";
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
} as const satisfies Record<PlanResult["changes"][number]["action"], string>;

/** What `up` would do: changes, placements with reasons, links with paths, and what would be refused. */
export function formatPlan(plan: PlanResult): string {
  const changes = plan.changes.map(
    (change) =>
      `  ${signs[change.action]} ${change.action.padEnd(11)} ${printable(`${change.subject}  ${change.detail}`)}\n`,
  );
  const sections = [
    changes.length === 0 ? "Nothing would change.\n" : `Changes:\n${changes.join("")}`,
    ...(plan.placements.length === 0 ? [] : [placementTable(plan)]),
    ...(plan.links.length === 0 ? [] : [linkTable(plan)]),
    ...(plan.refusals.length === 0 ? [] : [refusals(plan)]),
    plan.satisfiable
      ? `${plan.ensemble} can be kept as declared.\n`
      : `${plan.ensemble} cannot be satisfied: up would refuse it and change nothing.\n`,
  ];
  return sections.join("\n");
}

const placementTable = (plan: PlanResult): string =>
  formatTable<PlanResult["placements"][number]>(
    [
      { heading: "APPLIANCE", cell: (row) => row.appliance },
      { heading: "HOST", cell: (row) => row.host },
      { heading: "REASON", cell: (row) => row.reason },
    ],
    plan.placements,
  );

const linkTable = (plan: PlanResult): string =>
  formatTable<PlanResult["links"][number]>(
    [
      { heading: "LINK", cell: (row) => `${row.from} - ${row.to}` },
      { heading: "NETWORK", cell: (row) => row.network },
      { heading: "PROMISED", right: true, cell: (row) => bandwidth(row.bandwidthBps) },
      { heading: "CONNECTION", cell: (row) => row.connection },
      { heading: "PATH", cell: (row) => row.path.join(" > ") },
    ],
    plan.links,
  );

const refusals = (plan: PlanResult): string =>
  `Would be refused:\n${plan.refusals
    .map(({ subject, message, remedy }) => {
      const help = remedy === undefined ? "" : `\n      remedy: ${printable(remedy)}`;
      return `  x ${printable(`${subject}: ${message}`)}${help}\n`;
    })
    .join("")}`;
