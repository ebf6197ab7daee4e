import { readFile } from "node:fs/promises";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { CommandContext } from "#cli/command.ts";
import { parseEnsemble } from "#formats/ensemble.ts";
import type { Parsed } from "#formats/problem.ts";
import type { Ensemble } from "#model/ensemble.ts";

/** A file's text; "-" is standard input. Throws `bad_input`. */
export async function readTextFile(file: string, context: CommandContext): Promise<string> {
  if (file === "-") return new TextDecoder().decode(await context.terminal.readInput());
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new ConsortError("bad_input", `Cannot read ${file}: ${reasonOf(cause)}`, { cause });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder, wanted a file",
  EACCES: "you may not",
};

/** Why a file could not be opened, for people. */
export function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return reasons[code] ?? messageOf(cause);
}

/** The ensemble a file declares. Throws `bad_input` with all problems. */
export async function readEnsemble(file: string, context: CommandContext): Promise<Ensemble> {
  const text = await readTextFile(file, context);
  return parsed(file, parseEnsemble(text, { file: file === "-" ? "stdin.yaml" : file }));
}

/** The value, or `bad_input` with the problems as details. */
export function parsed<Value>(file: string, result: Parsed<Value>): Value {
  if (result.ok) return result.value;
  const count = result.problems.length;
  throw new ConsortError(
    "bad_input",
    `Cannot use ${file}: ${count} ${count === 1 ? "problem" : "problems"}`,
    {
      details: { problems: result.problems },
    },
  );
}
