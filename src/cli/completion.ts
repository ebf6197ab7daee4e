import { ConsortError } from "#base/errors.ts";
import { sharedOptions } from "#cli/arguments.ts";
import type { Command } from "#cli/command.ts";
import { bash, fish, zsh } from "#cli/completion-scripts.ts";
import type { CompletionEntry } from "#cli/completion-scripts.ts";
import { placesOf } from "#cli/completion-places.ts";
import { commands } from "#cli/commands.ts";

const shells = { bash, zsh, fish } as const;

export const command: Command = {
  usage: ["completion bash|zsh|fish"],
  options: {},
  about: [
    "Prints a script that teaches your shell the commands, their words and options, and the names of hosts and ensembles,\nwhich it asks the manager for.",
  ],
  examples: [
    { line: 'eval "$(consort completion bash)"', what: "in ~/.bashrc" },
    { line: "consort completion zsh > ~/.zfunc/_consort", what: "a folder of your fpath" },
    { line: "consort completion fish > ~/.config/fish/completions/consort.fish", what: "fish" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const [shell = ""] = given.positionals;
    if (!isShell(shell))
      throw new ConsortError("bad_input", `Cannot complete for "${shell}": wanted bash, zsh or fish`);
    context.terminal.out(shells[shell](await completionEntries()));
    return 0;
  },
};

const isShell = (name: string): name is keyof typeof shells => Object.hasOwn(shells, name);

export async function completionEntries(): Promise<CompletionEntry[]> {
  return Promise.all(
    commands.map(async ({ name, summary, load }) => {
      const { options } = (await load()).command;
      return {
        name,
        summary,
        places: placesOf(name),
        options: Object.entries({ ...options, ...sharedOptions }).map(([option, spec]) => ({
          name: option,
          about: spec.about,
          takesValue: spec.value !== undefined,
          ...(spec.oneOf === undefined ? {} : { oneOf: spec.oneOf }),
          ...(spec.short === undefined ? {} : { short: spec.short }),
        })),
      };
    }),
  );
}
