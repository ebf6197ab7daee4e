import { codeOf, ConsortError, errorTable, messageOf } from "#base/errors.ts";
import { readArguments, sharedOptions, withCommandFirst } from "#cli/arguments.ts";
import type { CommandContext } from "#cli/command.ts";
import { commands } from "#cli/commands.ts";
import type { CommandEntry } from "#cli/commands.ts";
import { commandHelp, overview } from "#cli/help-text.ts";
import { refusalLines } from "#cli/plan-text.ts";
import { printable, printableLines } from "#cli/table.ts";
import { formatProblem } from "#formats/problem.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

/** Runs one command line ("up", "shop.yaml"), tells what went wrong on standard error, and resolves with the exit code. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  const json = args.slice(0, args.includes("--") ? args.indexOf("--") : args.length).includes("--json");
  try {
    return await dispatch(args, context);
  } catch (thrown) {
    const interrupted = context.signal.aborted && codeOf(thrown) === "internal";
    const error = interrupted
      ? new ConsortError("cancelled", "Cannot finish: interrupted, wanted to run to the end", {
          cause: thrown,
        })
      : thrown;
    tell(error, json, context);
    return errorTable[codeOf(error)].exit;
  }
}

/** The entry of that name. Throws `bad_input` with a suggestion. */
export function findCommand(name: string): CommandEntry {
  const entry = commands.find((known) => known.name === name);
  if (entry !== undefined) return entry;
  const suggestion = didYouMean(
    name,
    commands.map((known) => known.name),
  );
  throw new ConsortError(
    "bad_input",
    `Cannot run consort ${name}: no such command; ${suggestion ?? "see consort help"}`,
  );
}

async function dispatch(args: readonly string[], context: CommandContext): Promise<number> {
  const [first, ...others] = withCommandFirst(args);
  if (first === undefined || first === "--help" || first === "-h") {
    context.terminal.out(overview(commands));
    return first === undefined ? errorTable.bad_input.exit : 0;
  }
  const entry = findCommand(first === "--version" || first === "-v" ? "version" : first);
  const { command } = await entry.load();
  const given = readArguments(entry.name, others, { ...command.options, ...sharedOptions });
  if (given.has("help")) {
    context.terminal.out(commandHelp(entry, command));
    return 0;
  }
  const [least, most] = command.takes;
  const count = given.positionals.length;
  if (count < least || count > most || (given.rest.length > 0 && command.rest !== true)) {
    throw new ConsortError(
      "bad_input",
      `Cannot run consort ${entry.name}: ${countText(count)} given, wanted: ${command.usage
        .map((line) => `consort ${line}`)
        .join(" or ")}`,
    );
  }
  return command.run(given, context);
}

const countText = (count: number): string =>
  count === 0 ? "no argument" : count === 1 ? "1 argument" : `${count} arguments`;

function tell(error: unknown, json: boolean, context: CommandContext): void {
  const code = codeOf(error);
  const { problems, refusals } = error instanceof ConsortError ? error.details : {};
  if (json) {
    const told = {
      code,
      message: messageOf(error),
      ...(problems === undefined ? {} : { problems }),
      ...(refusals === undefined ? {} : { refusals }),
    };
    context.terminal.out(`${JSON.stringify({ error: told }, undefined, 2)}\n`);
    return;
  }
  context.terminal.err(`consort: ${printableLines(messageOf(error))}\n`);
  if (Array.isArray(problems))
    for (const problem of problems) context.terminal.err(`  ${problemLine(problem)}\n`);
  if (Array.isArray(refusals)) context.terminal.err(refusalLines(refusals as PlanResult["refusals"]));
}

/** The API's problems have the parts of `Problem`; those of a file read here too. */
function problemLine(problem: unknown): string {
  if (typeof problem !== "object" || problem === null) return printable(String(problem));
  return printable(formatProblem({ file: "", line: 0, column: 0, path: "", message: "", ...problem }));
}
