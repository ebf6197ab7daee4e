import type { Arguments } from "#cli/arguments.ts";
import type { Client } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";

/** What a verb of `consort image` did: a value for programs, and words for people. */
export type Outcome = { readonly value: unknown; readonly text: string };

/** One verb of `consort image`; its options are among the command's. */
export type Verb = {
  readonly takes: readonly [least: number, most: number];
  readonly usage: string;
  run(client: Client, words: readonly string[], given: Arguments, context: CommandContext): Promise<Outcome>;
};
