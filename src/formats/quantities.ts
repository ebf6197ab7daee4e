import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { parseDuration } from "#formats/units.ts";
import type { Quantity } from "#formats/units.ts";
import { splitWords } from "#formats/words.ts";

/** A quantity the schema has already tried: what does not parse has been refused. */
export function read<T>(parse: (text: string) => Quantity<T>, text: string | number): T {
  const parsed = parse(String(text));
  if (!parsed.ok) throw new TypeError(`the schema let ${String(text)} pass`);
  return parsed.value;
}

export function durationOf(text: string | number | undefined): Millis | undefined {
  return text === undefined ? undefined : millis(read(parseDuration, text));
}

/** The key with its value, or nothing: an absent field stays absent. */
export function given<Key extends string, T>(key: Key, value: T | undefined): { [K in Key]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { [K in Key]: T });
}

/** The words of a command, at least one; without one, findings say why. */
export function wordsOf(
  command: string | readonly (string | number | boolean)[],
  path: Path,
  findings: Finding[],
): readonly string[] {
  if (typeof command === "string") {
    const split = splitWords(command);
    if (!split.ok) findings.push({ ...split, path });
    else if (split.words.length === 0) findings.push({ path, message: "the command is empty" });
    return split.ok ? split.words : [];
  }
  const words = command.map(String);
  if (words.length === 0) findings.push({ path, message: "the command is empty" });
  else if (words[0] === "") findings.push({ path, message: "the program's name is empty" });
  return words;
}
