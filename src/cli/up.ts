import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { readEnsemble } from "#cli/ensemble-file.ts";
import { conclude, follow } from "#cli/follow.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import type { Operation } from "#protocol/http/operation.ts";

export const command: Command = {
  usage: ["up FILE"],
  options: {
    ...apiOptions,
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Hands the ensemble to the manager, which admits it only if every promise in it can be kept, and shows the way until\nall appliances run and are connected. The same file again changes nothing; a changed file changes what differs.",
    "Ctrl-C cancels: what was desired before holds again. After --detach, or when this program dies, the manager goes on.",
  ],
  examples: [
    { line: "consort up shop.yaml", what: "start it, or change it to what the file says" },
    { line: "consort plan shop.yaml", what: "look first: what would change, what would be refused" },
    { line: "consort up -d shop.yaml", what: "do not wait; consort operations tells how it went" },
    { line: "consort up shop.yaml --lab red", what: "in the lab called red" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const ensemble = await readEnsemble(given.positionals[0] ?? "", context);
    const client = await connect(given, context);
    // Not cut off by Ctrl-C: afterwards we could not say whether it was accepted.
    const accepted = await client.request<Operation>(
      "PUT",
      route`/v1/ensembles/${ensemble.name}`,
      context.afterwards,
      ensembleDocument(ensemble),
    );
    const json = given.has("json");
    if (given.has("detach")) {
      if (json) context.terminal.out(`${JSON.stringify(accepted, undefined, 2)}\n`);
      else context.terminal.out(`${ensemble.name} is accepted: operation ${accepted.id}\n`);
      return 0;
    }
    return conclude(await follow(client, accepted, context, { quiet: json }), json, context);
  },
};
