import { apiOptions } from "#cli/arguments.ts";
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

/** They tell which manager is meant, so what completes asks it; they may stand before the command. */
const whereOptions = Object.keys(apiOptions).map((name) => `--${name}`);

/** Options, and what they take, are left out of the words before the cursor, so they may stand anywhere. */
export function bash(entries: readonly CompletionEntry[]): string {
  const options = entries.map(({ name, options: own }) => {
    const all = own.map((option) => `--${option.name}`);
    const valued = own.flatMap((option) =>
      option.takesValue ? [`--${option.name}`, ...(option.short ? [`-${option.short}`] : [])] : [],
    );
    return `        ${name}) options="${all.join(" ")}" valued+="${valued.join(" ")} " ;;`;
  });
  const values = entries.flatMap(({ name, options: own }) =>
    own.flatMap(({ name: option, oneOf }) =>
      oneOf === undefined ? [] : [`    "${name} --${option}") words="${oneOf.join(" ")}" ;;`],
    ),
  );
  const places = entries.flatMap(({ name, places: own }) =>
    own.map(({ after, offer }) => {
      const pattern = [name, ...after].map((word) => (word === "*" ? "*([^ ])" : word)).join("\\ ");
      return `    ${pattern}) words="${bashOffer(offer)}" ;;`;
    }),
  );
  return `shopt -s extglob
_consort() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= before= options= words= taking= glued= at word
  local all=" ${whereOptions.join(" ")} " valued=" ${whereOptions.join(" ")} " typed=() where=()
  # Bash takes words apart at = and :, as in --lab=red and in addresses.
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ ( -n $glued || $word == [=:]* ) && \${#typed[@]} -gt 0 ]]; then typed[-1]+=$word
    else typed+=("$word")
    fi
    if [[ $word == *[=:] ]]; then glued=1; else glued=; fi
  done
  if [[ $current == = && \${#typed[@]} -gt 0 ]]; then current=
  elif [[ -n $glued && \${typed[-1]} == --?*= ]]; then typed[-1]=\${typed[-1]%=}
  fi
  for word in "\${typed[@]}"; do
    if [[ -n $taking ]]; then
      if [[ $all == *" $taking "* ]]; then where+=("$taking" "$word"); fi
      taking=
    elif [[ $before == *" --" ]]; then break
    elif [[ $word == --?*=* ]]; then
      if [[ $all == *" \${word%%=*} "* ]]; then where+=("$word"); fi
    elif [[ $valued == *" $word "* ]]; then taking=$word
    elif [[ $word == -* && $word != -- ]]; then :
    elif [[ -z $command ]]; then
      command=$word before=$word
      case $command in
${options.join("\n")}
      esac
    else before="$before $word"
    fi
  done
  if [[ -n $taking ]]; then case "$command $taking" in
${values.join("\n")}
  esac
  elif [[ -z $command ]]; then words="${entries.map((entry) => entry.name).join(" ")}"
  elif [[ $current == -* ]]; then words=$options
  else case $before in
${places.join("\n")}
  esac fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _consort consort
`;
}

const bashOffer = ({ words, lister }: Offer): string =>
  [...words, ...(lister === undefined ? [] : [`$(${askedOf('"${where[@]}"', lister)})`])].join(" ");

/** They print nothing at all where no manager answers. */
const askedOf = (where: string, lister: string): string => `consort ${where} ${lister} 2>/dev/null`;

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
  local -a where names=(
${list.join("\n")}
  )
  while (( CURRENT > 2 )); do
    case \${words[2]} in
      ${whereOptions.join("|")})
        if (( CURRENT == 3 )); then return; fi
        where+=("\${(@)words[2,3]}") words[2,3]=() CURRENT=$(( CURRENT - 2 )) ;;
      ${whereOptions.map((name) => `${name}=*`).join("|")})
        where+=("\${words[2]}") words[2]=() CURRENT=$(( CURRENT - 1 )) ;;
      --*) words[2]=() CURRENT=$(( CURRENT - 1 )) ;;
      *) break ;;
    esac
  done
  local at
  for (( at = 3; at < CURRENT; at++ )); do
    case \${words[at]} in
      --) break ;;
      ${whereOptions.join("|")}) where+=("\${(@)words[at,at+1]}") ;;
      ${whereOptions.map((name) => `${name}=*`).join("|")}) where+=("\${words[at]}") ;;
    esac
  done
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
  const known = [...depths].map(([depth, alike]) => {
    const cases = alike.map(({ after, offer }) => `${after.join("\\ ") || "*"}) ${zshOffer(offer)} ;;`);
    const before = `"\${line[1,${depth}]}"`;
    return singleQuoted(`${depth + 1}:argument:{case ${before} in ${cases.join(" ")} *) _files ;; esac}`);
  });
  return [...known, `'*:file:_files'`];
}

const zshOffer = ({ words, lister }: Offer): string =>
  [
    "compadd --",
    ...words,
    ...(lister === undefined ? [] : [`\${(f)"$(${askedOf('"${where[@]}"', lister)})"}`]),
  ].join(" ");

export function fish(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap((entry) => {
    const seen = `-n '__fish_seen_subcommand_from ${entry.name}'`;
    return [
      `complete -c consort -n __consort_needs_command -f -a ${entry.name} -d ${singleQuoted(entry.summary)}`,
      ...entry.places.map((place) => {
        const { words, lister } = place.offer;
        const list = [
          ...words,
          ...(lister === undefined ? [] : [`(${askedOf("(__consort_where)", lister)})`]),
        ];
        return `complete -c consort -n '${fishCondition(entry, place)}' -f -a '${list.join(" ")}'`;
      }),
      ...entry.options.map(({ name, about, takesValue, oneOf }) => {
        const value = oneOf === undefined ? (takesValue ? " -r" : "") : ` -x -a '${oneOf.join(" ")}'`;
        return `complete -c consort ${seen} -l ${name}${value} -d ${singleQuoted(about)}`;
      }),
    ];
  });
  return `${fishFunctions}${lines.join("\n")}\n`;
}

const fishFunctions = `# Of the words before the cursor: those that tell which manager is meant.
function __consort_where
  set -l taking
  for word in (commandline -opc)
    if set -q taking[1]
      printf '%s\\n' $taking $word
      set taking
    else if contains -- $word ${whereOptions.join(" ")}
      set taking $word
    else if string match -qr -- '^(${whereOptions.join("|")})=' $word
      echo $word
    end
  end
end
function __consort_needs_command
  set -l taking
  set -l words (commandline -opc)
  set -e words[1]
  for word in $words
    if set -q taking[1]
      set taking
    else if contains -- $word ${whereOptions.join(" ")}
      set taking $word
    else if not string match -q -- '-*' $word
      return 1
    end
  end
  not set -q taking[1]
end
`;

/** Fish tells only which words were seen, not where: enough, as no word is offered at two places of a command. */
function fishCondition({ name, places }: CompletionEntry, { after, offer }: Place): string {
  const wordsAt = (before: readonly string[]): readonly string[] => {
    const there = places.find((one) => one.after.join(" ") === before.join(" "));
    return there?.offer.words ?? [];
  };
  const seen = [name, ...after].map((word, index) =>
    word === "*" ? wordsAt(after.slice(0, index - 1)).join(" ") : word,
  );
  return [
    ...seen.map((words) => `__fish_seen_subcommand_from ${words}`),
    ...(offer.words.length > 0 ? [`not __fish_seen_subcommand_from ${offer.words.join(" ")}`] : []),
  ].join("; and ");
}
