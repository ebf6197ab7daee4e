import type { Command } from "#cli/command.ts";
import { commands } from "#cli/commands.ts";
import { commandHelp, optionText, overview } from "#cli/help-text.ts";
import { sharedOptions } from "#cli/arguments.ts";
import { findCommand } from "#cli/run.ts";

export const command: Command = {
  usage: ["help [COMMAND]"],
  options: { markdown: { about: "All of it as the page docs/reference/cli.md" } },
  about: ["Lists the commands, or explains one."],
  examples: [{ line: "consort help up", what: "the same as consort up --help" }],
  takes: [0, 1],
  async run(given, context) {
    const [name] = given.positionals;
    if (given.has("markdown")) context.terminal.out(await referencePage());
    else if (given.has("json")) {
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

const pageHead = `# The command line

Made by \`bin/consort help --markdown > docs/reference/cli.md\`; a test holds it against the commands.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed, or interrupted |
| 2 | bad input, or what no driver here can do |
| 3 | valid, but these hosts and links cannot keep the promises |

\`consort exec\` passes the exit code of the program through. [errors.md](errors.md) lists the code of every error.

## Environment

| variable | meaning | unless set |
| --- | --- | --- |
| \`CONSORT_LAB\` | the lab whose manager is meant | \`lab\` |
| \`CONSORT_API\` | address of the manager | \`url\` in \`<run root>/labs/<lab>/api.json\` |
| \`CONSORT_TOKEN_FILE\` | file with the access token | \`tokenFile\` in the same file |
| \`CONSORT_RUN_DIR\` | run root: what lives as long as the machine is up | \`/run/consort\` |
| \`CONSORT_STATE_DIR\` | state root: what survives | \`/var/lib/consort\` |

## Options of every command

${Object.entries(sharedOptions)
  .map(([name, spec]) => `- \`${optionText(name, spec)}\`: ${spec.about}`)
  .join("\n")}
`;

/** docs/reference/cli.md: every command's help. */
async function referencePage(): Promise<string> {
  const parts = [pageHead];
  for (const entry of commands) {
    const help = commandHelp(entry, (await entry.load()).command);
    parts.push(`## consort ${entry.name}\n\n\`\`\`text\n${help}\`\`\`\n`);
  }
  return parts.join("\n");
}
