import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { yamlText } from "#formats/yaml-text.ts";

export const command: Command = {
  usage: ["export NAME"],
  options: apiOptions,
  about: ["Prints the ensemble as it was accepted, as YAML (or JSON) that consort up takes again."],
  examples: [
    { line: "consort export shop > shop.yaml", what: "keep it" },
    { line: "consort export shop | consort up - --lab red", what: "the same in another lab" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const client = await connect(given, context);
    const name = given.positionals[0] ?? "";
    const declared = await client.request<unknown>(
      "GET",
      route`/v1/ensembles/${name}/document`,
      context.signal,
    );
    const text = given.has("json") ? `${JSON.stringify(declared, undefined, 2)}\n` : yamlText(declared);
    context.terminal.out(text.endsWith("\n") ? text : `${text}\n`);
    return 0;
  },
};
