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
  /** After one of the words come the names of hosts, asked of the manager then. */
  readonly thenHosts: boolean;
};

const words: Readonly<Record<string, readonly string[]>> = {
  lab: ["up", "down", "status"],
  host: ["drain", "cordon", "uncordon", "forget"],
  completion: ["bash", "zsh", "fish"],
  help: commands.map((entry) => entry.name),
};

/** Prints the ids of all hosts, or nothing at all where no manager answers. */
const hostLister = "consort hosts --quiet 2>/dev/null";

const shells = { bash, zsh, fish } as const;

export const command: Command = {
  usage: ["completion bash|zsh|fish"],
  options: {},
  about: [
    "Prints a script that teaches your shell the commands, their options and, for consort host, the names of hosts.",
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
        words: words[name] ?? [],
        thenHosts: name === "host",
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
  const cases = entries.map((entry) => {
    const own = `words="${[...entry.words, ...optionWords(entry)].join(" ")}"`;
    if (!entry.thenHosts) return `    ${entry.name}) ${own} ;;`;
    return `    ${entry.name}) if [ "$COMP_CWORD" -eq 3 ] && [[ $current != -* ]]; then words="$(${hostLister})"; else ${own}; fi ;;`;
  });
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
    return `    ${entry.name}) _arguments ${[...options, ...zshArguments(entry)].join(" ")} ;;`;
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

function zshArguments(entry: CompletionEntry): string[] {
  if (entry.words.length === 0) return [`'*:file:_files'`];
  const list = `word:(${entry.words.join(" ")})`;
  if (!entry.thenHosts) return [`'*:${list}'`];
  return [`'1:${list}'`, `'2:host:{compadd -- \${(f)"$(${hostLister})"}}'`];
}

function fish(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap((entry) => {
    const seen = `-n '__fish_seen_subcommand_from ${entry.name}'`;
    const among = entry.words.join(" ");
    const none = `-n '__fish_seen_subcommand_from ${entry.name}; and not __fish_seen_subcommand_from ${among}'`;
    const one = `-n '__fish_seen_subcommand_from ${entry.name}; and __fish_seen_subcommand_from ${among}'`;
    return [
      `complete -c consort -n __fish_use_subcommand -f -a ${entry.name} -d ${singleQuoted(entry.summary)}`,
      ...(entry.words.length > 0
        ? [`complete -c consort ${entry.thenHosts ? none : seen} -f -a '${entry.words.join(" ")}'`]
        : []),
      ...(entry.thenHosts ? [`complete -c consort ${one} -f -a '(${hostLister})'`] : []),
      ...entry.options.map(
        (option) =>
          `complete -c consort ${seen} -l ${option.name}${option.takesValue ? " -r" : ""} -d ${singleQuoted(option.about)}`,
      ),
    ];
  });
  return `${lines.join("\n")}\n`;
}
