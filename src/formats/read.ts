import { readDevaXml } from "#formats/deva-xml.ts";
import type { Parsed } from "#formats/problem.ts";
import type { Source } from "#formats/source.ts";
import { readYaml } from "#formats/yaml-source.ts";
import type { SourceResult } from "#formats/yaml-source.ts";

export type TextFormat = "yaml" | "json" | "xml";

/** By the file name's ending; what is none of ours is read as YAML, which JSON is too. */
export function formatOf(file: string): TextFormat {
  if (/\.xml$/i.test(file)) return "xml";
  return /\.json$/i.test(file) ? "json" : "yaml";
}

/** A file's text as plain data with places; `bytesMax` bounds its size in UTF-8, `readXml` knows what its XML means. */
export function readSource(
  text: string,
  file: string,
  format: TextFormat,
  bytesMax: number,
  readXml: (text: string) => SourceResult = readDevaXml,
): Parsed<Source> {
  const refuse = (line: number, column: number, message: string, suggestion?: string): Parsed<Source> => ({
    ok: false,
    problems: [
      { file, line, column, path: "", message, ...(suggestion === undefined ? {} : { suggestion }) },
    ],
  });
  if (sizeOf(text) > bytesMax) return refuse(1, 1, `larger than ${bytesMax / 1024 / 1024} MiB`);
  const plain = text.startsWith("\uFEFF") ? text.slice(1) : text;
  if (plain.trim() === "") return refuse(1, 1, "the file is empty");
  const odd = oddCharacter(plain);
  if (odd !== undefined) return refuse(odd.line, odd.column, "this is no text: it contains a NUL character");
  const result = format === "xml" ? readXml(plain) : readYaml(plain);
  if (!result.ok) {
    const { line, column, message, suggestion } = result.problem;
    return refuse(line, column, message, suggestion);
  }
  const strict = format === "json" ? notJson(plain) : undefined;
  if (strict !== undefined) return refuse(strict.line, strict.column, strict.message);
  return { ok: true, value: result.source };
}

function sizeOf(text: string): number {
  return text.length > 0 ? new TextEncoder().encode(text).length : 0;
}

function oddCharacter(text: string): { line: number; column: number } | undefined {
  const at = text.indexOf("\0");
  return at < 0 ? undefined : placeIn(text, at);
}

/** YAML takes more than JSON allows; a file that calls itself JSON must be JSON. */
function notJson(text: string): { line: number; column: number; message: string } | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
    const at = position === undefined ? text.length : Number(position);
    return { ...placeIn(text, at), message: "this is YAML but not JSON: look for quotes and commas" };
  }
}

function placeIn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
