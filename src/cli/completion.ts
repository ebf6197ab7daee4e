import { ConsortError } from "#base/errors.ts";
import { sharedOptions } from "#cli/arguments.ts";
import type { Command } from "#cli/command.ts";
import { commands } from "#cli/commands.ts";

/** A command and the words that may follow it. */
export type CompletionEntry = {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly {
    readonly name: string;
    readonly about: string;
    readonly takesValue: boolean;
  }[];
  readonly words: readonly string[];
};

const words: Readonly<Record<string, readonly string[]>> = {
  lab: ["up", "down", "status"],
  completion: ["bash", "zsh", "fish"],
  help: commands.map((entry) => entry.name),
};

const shells = { bash, zsh, fish } as const;

export const command: Command = {
  usage: ["completion bash|zsh|fish"],
  options: {},
  about: ["Prints a script that teaches your shell the commands and their options."],
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
        words: words[name] ?? [],
        options: Object.entries({ ...options, ...sharedOptions }).map(([option, spec]) => ({
          name: option,
          about: spec.about,
          takesValue: spec.value !== undefined,
        })),
      };
    }),
  );
}

const optionWords = (entry: CompletionEntry): string[] => entry.options.map((option) => `--${option.name}`);

function bash(entries: readonly CompletionEntry[]): string {
  const cases = entries.map(
    (entry) => `    ${entry.name}) words="${[...entry.words, ...optionWords(entry)].join(" ")}" ;;`,
  );
  return `_consort() {
  local current=\${COMP_WORDS[COMP_CWORD]} words
  if [ "$COMP_CWORD" -eq 1 ]; then words="${entries.map((entry) => entry.name).join(" ")}"
  else case \${COMP_WORDS[1]} in
${cases.join("\n")}
    *) words= ;;
  esac fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _consort consort
`;
}

const singleQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function zsh(entries: readonly CompletionEntry[]): string {
  const escaped = (text: string): string => text.replaceAll(/[\\[\]:]/g, String.raw`\$&`);
  const list = entries.map((entry) => `    ${singleQuoted(`${entry.name}:${escaped(entry.summary)}`)}`);
  const cases = entries.map((entry) => {
    const options = entry.options.map((option) =>
      singleQuoted(`--${option.name}[${escaped(option.about)}]${option.takesValue ? ":value:_files" : ""}`),
    );
    const rest = entry.words.length > 0 ? `'*:word:(${entry.words.join(" ")})'` : `'*:file:_files'`;
    return `    ${entry.name}) _arguments ${[...options, rest].join(" ")} ;;`;
  });
  return `#compdef consort
_consort() {
  local -a names=(
${list.join("\n")}
  )
  if (( CURRENT == 2 )); then _describe command names; return; fi
  local name=\${words[2]}
  shift words; (( CURRENT-- ))
  case $name in
${cases.join("\n")}
  esac
}
compdef _consort consort
`;
}

function fish(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap((entry) => {
    const seen = `-n '__fish_seen_subcommand_from ${entry.name}'`;
    return [
      `complete -c consort -n __fish_use_subcommand -f -a ${entry.name} -d ${singleQuoted(entry.summary)}`,
      ...(entry.words.length > 0 ? [`complete -c consort ${seen} -f -a '${entry.words.join(" ")}'`] : []),
      ...entry.options.map(
        (option) =>
          `complete -c consort ${seen} -l ${option.name}${option.takesValue ? " -r" : ""} -d ${singleQuoted(option.about)}`,
      ),
    ];
  });
  return `${lines.join("\n")}\n`;
}
