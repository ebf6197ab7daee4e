import { errorTable } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { readEnsemble } from "#cli/ensemble-file.ts";
import { formatPlan } from "#cli/plan-text.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

export const command: Command = {
  usage: ["plan FILE"],
  options: apiOptions,
  about: [
    "Asks the manager what up would do, through the same code and without doing it: what would be created, changed or\nremoved, on which host and why, over which cables, and what would be refused. Exit code 3 when it would be refused.",
  ],
  examples: [{ line: "consort plan shop.yaml", what: "before consort up shop.yaml" }],
  takes: [1, 1],
  async run(given, context) {
    const ensemble = await readEnsemble(given.positionals[0] ?? "", context);
    const client = await connect(given, context);
    const plan = await client.request<PlanResult>(
      "POST",
      "/v1/plans",
      context.signal,
      ensembleDocument(ensemble),
    );
    if (given.has("json")) context.terminal.out(`${JSON.stringify(plan, undefined, 2)}\n`);
    else context.terminal.out(formatPlan(plan));
    return plan.satisfiable ? 0 : errorTable.unsatisfiable.exit;
  },
};
