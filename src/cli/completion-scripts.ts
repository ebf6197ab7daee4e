import type { Offer, Place } from "#cli/completion-places.ts";

/** A command with what may follow it. */
export type CompletionEntry = {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly {
    readonly name: string;
    readonly about: string;
    readonly takesValue: boolean;
    readonly oneOf?: readonly string[];
    readonly short?: string;
  }[];
  readonly places: readonly Place[];
};

/** Options, and what they take, are left out of the words before the cursor, so they may stand anywhere. */
export function bash(entries: readonly CompletionEntry[]): string {
  const options = entries.map(({ name, options: own }) => {
    const all = own.map((option) => `--${option.name}`);
    const valued = own.flatMap((option) =>
      option.takesValue ? [`--${option.name}`, ...(option.short ? [`-${option.short}`] : [])] : [],
    );
    return `    ${name}) options="${all.join(" ")}" valued=" ${valued.join(" ")} " ;;`;
  });
  const values = entries.flatMap(({ name, options: own }) =>
    own.flatMap(({ name: option, oneOf }) =>
      oneOf === undefined ? [] : [`    "${name} --${option}") words="${oneOf.join(" ")}" ;;`],
    ),
  );
  const places = entries.flatMap(({ name, places: own }) =>
    own.map(({ after, offer }) => {
      const pattern = [name, ...after].map((word) => (word === "*" ? "*([^ ])" : word)).join("\\ ");
      return `    ${pattern}) words="${"words" in offer ? offer.words.join(" ") : `$(${offer.lister})`}" ;;`;
    }),
  );
  return `shopt -s extglob
_consort() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} before=\${COMP_WORDS[1]}
  local command=$before options= valued= words= skip= at
  [ "$current" = "=" ] && current=
  [ "$previous" = "=" ] && previous=\${COMP_WORDS[COMP_CWORD-2]}
  case $command in
${options.join("\n")}
  esac
  for ((at = 2; at < COMP_CWORD; at++)); do
    if [ -n "$skip" ]; then [ "\${COMP_WORDS[at]}" = "=" ] || skip=
    elif [[ $valued == *" \${COMP_WORDS[at]} "* ]]; then skip=1
    elif [[ \${COMP_WORDS[at]} != -* ]]; then before="$before \${COMP_WORDS[at]}"
    fi
  done
  if [ "$COMP_CWORD" -eq 1 ]; then words="${entries.map((entry) => entry.name).join(" ")}"
  elif [ -n "$skip" ]; then case "$command $previous" in
${values.join("\n")}
  esac
  elif [[ $current == -* ]]; then words=$options
  else case $before in
${places.join("\n")}
  esac fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _consort consort
`;
}

const singleQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export function zsh(entries: readonly CompletionEntry[]): string {
  const escaped = (text: string): string => text.replaceAll(/[\\[\]:]/g, String.raw`\$&`);
  const list = entries.map((entry) => `    ${singleQuoted(`${entry.name}:${escaped(entry.summary)}`)}`);
  const cases = entries.map((entry) => {
    const options = entry.options.map(({ name, about, takesValue, oneOf }) => {
      const values = oneOf === undefined ? "_files" : `(${oneOf.join(" ")})`;
      return singleQuoted(`--${name}[${escaped(about)}]${takesValue ? `:value:${values}` : ""}`);
    });
    return `    ${entry.name}) _arguments ${[...options, ...zshArguments(entry.places)].join(" ")} ;;`;
  });
  return `#compdef consort
_consort() {
  local -a names=(
${list.join("\n")}
  )
  if (( CURRENT == 2 )); then _describe command names; return; fi
  local name=\${words[2]} line
  shift words; (( CURRENT-- ))
  case $name in
${cases.join("\n")}
  esac
}
compdef _consort consort
`;
}

/** In an action of _arguments, \`line\` has the words before the cursor without options. */
function zshArguments(places: readonly Place[]): string[] {
  if (places.length === 0) return [`'*:file:_files'`];
  const depths = Map.groupBy(places, ({ after }) => after.length);
  return [...depths].map(([depth, alike]) => {
    const cases = alike.map(({ after, offer }) => `${after.join("\\ ") || "*"}) ${zshOffer(offer)} ;;`);
    const before = `"\${line[1,${depth}]}"`;
    return singleQuoted(`${depth + 1}:argument:{case ${before} in ${cases.join(" ")} *) _files ;; esac}`);
  });
}

const zshOffer = (offer: Offer): string =>
  `compadd -- ${"words" in offer ? offer.words.join(" ") : `\${(f)"$(${offer.lister})"}`}`;

export function fish(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap((entry) => {
    const seen = `-n '__fish_seen_subcommand_from ${entry.name}'`;
    return [
      `complete -c consort -n __fish_use_subcommand -f -a ${entry.name} -d ${singleQuoted(entry.summary)}`,
      ...entry.places.map((place) => {
        const { offer } = place;
        const list = "words" in offer ? offer.words.join(" ") : `(${offer.lister})`;
        return `complete -c consort -n '${fishCondition(entry, place)}' -f -a '${list}'`;
      }),
      ...entry.options.map(({ name, about, takesValue, oneOf }) => {
        const value = oneOf === undefined ? (takesValue ? " -r" : "") : ` -x -a '${oneOf.join(" ")}'`;
        return `complete -c consort ${seen} -l ${name}${value} -d ${singleQuoted(about)}`;
      }),
    ];
  });
  return `${lines.join("\n")}\n`;
}

/** Fish tells only which words were seen, not where: enough, as no word is offered at two places of a command. */
function fishCondition({ name, places }: CompletionEntry, { after, offer }: Place): string {
  const wordsAt = (before: readonly string[]): readonly string[] => {
    const there = places.find((one) => one.after.join(" ") === before.join(" "));
    return there !== undefined && "words" in there.offer ? there.offer.words : [];
  };
  const seen = [name, ...after].map((word, index) =>
    word === "*" ? wordsAt(after.slice(0, index - 1)).join(" ") : word,
  );
  return [
    ...seen.map((words) => `__fish_seen_subcommand_from ${words}`),
    ...("words" in offer ? [`not __fish_seen_subcommand_from ${offer.words.join(" ")}`] : []),
  ].join("; and ");
}
