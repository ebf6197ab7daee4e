import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { readEnsemble } from "#cli/ensemble-file.ts";
import { conclude, follow } from "#cli/follow.ts";
import type { Operation } from "#protocol/http/operation.ts";

export const command: Command = {
  usage: ["down NAME", "down FILE"],
  options: {
    ...apiOptions,
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Stops and removes every appliance of the ensemble, its networks and rules, on all hosts. What it wrote is gone.",
    "Ctrl-C stops the waiting, not the removal.",
  ],
  examples: [
    { line: "consort down shop", what: "remove it" },
    { line: "consort down shop.yaml", what: "the ensemble that this file declares" },
    { line: "consort export shop > shop.yaml", what: "keep its description first" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const client = await connect(given, context);
    const name = await nameIn(given.positionals[0] ?? "", context);
    const accepted = await client.request<Operation>(
      "DELETE",
      route`/v1/ensembles/${name}`,
      context.afterwards,
    );
    const json = given.has("json");
    if (given.has("detach")) {
      if (json) context.terminal.out(`${JSON.stringify(accepted, undefined, 2)}\n`);
      else context.terminal.out(`The removal of ${name} is accepted: operation ${accepted.id}\n`);
      return 0;
    }
    return conclude(await follow(client, accepted, context, { quiet: json }), json, context);
  },
};

/** The name itself, or that of the ensemble in the file: names have no dots and slashes. */
async function nameIn(given: string, context: CommandContext): Promise<string> {
  return /[./]/.test(given) ? (await readEnsemble(given, context)).name : given;
}
