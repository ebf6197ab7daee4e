import { parseArgs } from "node:util";
import { ConsortError } from "#base/errors.ts";
import { didYouMean } from "#formats/suggestion.ts";

export type OptionSpec = {
  /** For the help. */
  readonly about: string;
  /** Takes a value, shown as this in the help: "FILE"; absent: a switch. */
  readonly value?: string;
  /** All values it may have, for completion. */
  readonly oneOf?: readonly string[];
  readonly short?: string;
};

/** A command's arguments, checked against its options. */
export type Arguments = {
  readonly positionals: readonly string[];
  /** What followed "--". */
  readonly rest: readonly string[];
  has(option: string): boolean;
  text(option: string): string | undefined;
  /** A whole number, at least 0. Throws `bad_input`. */
  number(option: string): number | undefined;
};

/** Options every command takes. */
export const sharedOptions: Readonly<Record<string, OptionSpec>> = {
  json: { about: "Print JSON for programs instead of text for people" },
  help: { about: "Show this help", short: "h" },
};

/** Where the manager is, for commands that talk to one. */
export const apiOptions: Readonly<Record<string, OptionSpec>> = {
  lab: { about: 'Talk to the manager of this lab (CONSORT_LAB, else "lab")', value: "NAME" },
  api: { about: "Talk to the manager at this address (CONSORT_API)", value: "URL" },
  "token-file": { about: "Read the access token from this file (CONSORT_TOKEN_FILE)", value: "FILE" },
};

/** What may stand before the command, too: it means the same for each. */
const leadingOptions = { ...apiOptions, ...sharedOptions };

/**
 * "--lab red ps" as "ps --lab red". Throws `bad_input` for an option before the command that only some of them take:
 * whether the next word is its value is not known there.
 */
export function withCommandFirst(args: readonly string[]): readonly string[] {
  let at = 0;
  for (let word = args[at]; word?.startsWith("--") === true && word !== "--"; word = args[at]) {
    const [name = "", value] = word.slice(2).split("=", 2);
    if (name === "help" || name === "version") break;
    const spec = Object.hasOwn(leadingOptions, name) ? leadingOptions[name] : undefined;
    if (spec === undefined)
      throw badInput(
        `Cannot run consort: ${word} stands before the command, where only ${Object.keys(leadingOptions)
          .map((option) => `--${option}`)
          .join(", ")} may; write: consort COMMAND ${word}`,
      );
    at += spec.value === undefined || value !== undefined ? 1 : 2;
  }
  const [command, ...others] = args.slice(at);
  if (command === undefined) return [];
  return [command, ...args.slice(0, at), ...others];
}

const badInput = (message: string): ConsortError => new ConsortError("bad_input", message);

/** Throws `bad_input` with a suggestion for what it does not know. `name` is the command's, for messages. */
export function readArguments(
  name: string,
  args: readonly string[],
  options: Readonly<Record<string, OptionSpec>>,
): Arguments {
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(options).map(([option, spec]) => [
        option,
        {
          type: spec.value === undefined ? ("boolean" as const) : ("string" as const),
          ...(spec.short === undefined ? {} : { short: spec.short }),
        },
      ]),
    ),
  });
  const values = new Map<string, string | true>();
  const end = tokens.find((token) => token.kind === "option-terminator")?.index ?? args.length;
  const positionals = tokens.flatMap((token) =>
    token.kind === "positional" && token.index < end ? [token.value] : [],
  );
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const spec = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
    if (spec === undefined) throw badInput(unknownOption(name, token.rawName, Object.keys(options)));
    if (spec.value === undefined && token.value !== undefined)
      throw badInput(`Cannot run consort ${name}: ${token.rawName} is a switch and takes no value`);
    if (spec.value !== undefined && token.value === undefined)
      throw badInput(
        `Cannot run consort ${name}: ${token.rawName} has no value, wanted ${token.rawName} ${spec.value}`,
      );
    values.set(token.name, token.value ?? true);
  }
  return {
    positionals,
    rest: args.slice(end + 1),
    has: (option) => values.has(option),
    text: (option) => textOf(values.get(option)),
    number: (option) => wholeNumber(name, option, textOf(values.get(option))),
  };
}

const textOf = (value: string | true | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

function wholeNumber(name: string, option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw badInput(`Cannot run consort ${name}: --${option} is "${text}", wanted a whole number`);
}

function unknownOption(name: string, given: string, known: readonly string[]): string {
  const suggestion = didYouMean(given.replace(/^-+/, ""), known)?.replaceAll(/"([^"]+)"/g, '"--$1"');
  const tail = suggestion === undefined ? `see consort ${name} --help` : suggestion;
  return `Cannot run consort ${name}: no option ${given}; ${tail}`;
}
