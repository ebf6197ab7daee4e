import { ConsortError, errorTable } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import { lineWidth } from "#cli/command.ts";
import type { Command } from "#cli/command.ts";
import { readEnsemble } from "#cli/ensemble-file.ts";
import { formatPlan } from "#cli/plan-text.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

export const command: Command = {
  usage: ["plan FILE", "plan --topology TOPOLOGY FILE…"],
  options: {
    ...apiOptions,
    topology: {
      about: "Place on the cluster this file describes, empty; no manager is asked",
      value: "TOPOLOGY",
    },
    seed: { about: "With --topology: another seed may give another equally good answer (1)", value: "N" },
  },
  about: [
    "Asks the manager what up would do, through the same code and without doing it: what would be created, changed or\nremoved, on which host and why, over which cables, and what would be refused. Exit code 3 when it would be refused.",
  ],
  examples: [
    { line: "consort plan shop.yaml", what: "before consort up shop.yaml" },
    { line: "consort plan --topology rack.yaml shop.yaml --json", what: "would it fit there? for programs" },
  ],
  takes: [1, Number.MAX_SAFE_INTEGER],
  async run(given, context) {
    const topologyFile = given.text("topology");
    if (topologyFile !== undefined) {
      const { planOnTopology } = await import("#cli/plan-offline.ts");
      return planOnTopology(topologyFile, given, context);
    }
    if (given.positionals.length > 1)
      throw new ConsortError(
        "bad_input",
        `Cannot plan ${given.positionals.length} files at once: the manager takes one; several only with --topology`,
      );
    const ensemble = await readEnsemble(given.positionals[0] ?? "", context);
    const client = await connect(given, context);
    const plan = await client.request<PlanResult>(
      "POST",
      "/v1/plans",
      context.signal,
      ensembleDocument(ensemble),
    );
    if (given.has("json")) context.terminal.out(`${JSON.stringify(plan, undefined, 2)}\n`);
    else context.terminal.out(formatPlan(plan, lineWidth(context.terminal)));
    return plan.satisfiable ? 0 : errorTable.unsatisfiable.exit;
  },
};
