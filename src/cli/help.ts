import type { Command } from "#cli/command.ts";
import { commands } from "#cli/commands.ts";
import { commandHelp, overview } from "#cli/help-text.ts";
import { findCommand } from "#cli/run.ts";

export const command: Command = {
  usage: ["help [COMMAND]"],
  options: {},
  about: ["Lists the commands, or explains one."],
  examples: [{ line: "consort help up", what: "the same as consort up --help" }],
  takes: [0, 1],
  async run(given, context) {
    const [name] = given.positionals;
    if (given.has("json")) {
      const list = commands.map((entry) => ({ name: entry.name, summary: entry.summary }));
      context.terminal.out(`${JSON.stringify(list, undefined, 2)}\n`);
    } else if (name === undefined) context.terminal.out(overview(commands));
    else {
      const entry = findCommand(name);
      context.terminal.out(commandHelp(entry, (await entry.load()).command));
    }
    return 0;
  },
};
