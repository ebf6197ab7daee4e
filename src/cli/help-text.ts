import { sharedOptions } from "#cli/arguments.ts";
import type { OptionSpec } from "#cli/arguments.ts";
import type { Command } from "#cli/command.ts";
import type { CommandEntry } from "#cli/commands.ts";

/** The overview: every command with its one line. */
export function overview(entries: readonly CommandEntry[]): string {
  const width = Math.max(...entries.map((entry) => entry.name.length));
  const groups = [...new Set(entries.map((entry) => entry.group))].map((group) => {
    const lines = entries
      .filter((entry) => entry.group === group)
      .map((entry) => `  ${entry.name.padEnd(width)}  ${entry.summary}`);
    return `${group}\n${lines.join("\n")}`;
  });
  return `${[
    "Consort runs ensembles of machines with the network between them, and keeps what it promises.",
    "Usage: consort COMMAND [ARGUMENTS] [--help]",
    ...groups,
    "New here? sudo consort doctor, then sudo consort lab up, then consort up examples/hello.yaml",
  ].join("\n\n")}\n`;
}

/** The help of one command. */
export function commandHelp(entry: CommandEntry, command: Command): string {
  const options = Object.entries({ ...command.options, ...sharedOptions });
  const parts = [
    entry.summary,
    `Usage:\n${command.usage.map((line) => `  consort ${line}`).join("\n")}`,
    ...command.about,
    `Options:\n${optionLines(options).join("\n")}`,
    ...(command.examples.length === 0 ? [] : [`Examples:\n${exampleLines(command.examples).join("\n")}`]),
  ];
  return `${parts.join("\n\n")}\n`;
}

export function optionText(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? "" : `-${spec.short}, `;
  return `${short}--${name}${spec.value === undefined ? "" : ` ${spec.value}`}`;
}

function optionLines(options: readonly (readonly [string, OptionSpec])[]): string[] {
  const width = Math.max(...options.map(([name, spec]) => optionText(name, spec).length));
  return options.map(([name, spec]) => `  ${optionText(name, spec).padEnd(width)}  ${spec.about}`);
}

function exampleLines(examples: Command["examples"]): string[] {
  const width = Math.max(...examples.map(({ line }) => line.length));
  return examples.map(({ line, what }) => `  ${line.padEnd(width)}  # ${what}`);
}
