import type * as z from "zod";
import { check } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Parsed } from "#formats/problem.ts";
import { snapshotSchema } from "#formats/snapshot-schema.ts";
import { sourceOf } from "#formats/source.ts";

type Frozen<Value> = Value extends string | number | boolean | undefined
  ? Value
  : { readonly [Key in keyof Value]: Frozen<Value[Key]> };

/** The same as the cluster manager's CloudSnapshot; the API, which knows both, is compiled only while it is. */
export type SnapshotDocument = Frozen<z.output<typeof snapshotSchema>>;

/**
 * A snapshot from a file's text, as `consort snapshot` writes it. Never throws; problems carry the path. That its
 * parts fit each other is not checked: a manager wrote it, of one moment.
 */
export function parseSnapshot(text: string, file: string): Parsed<SnapshotDocument> {
  const refuse = (message: string, suggestion: string): Parsed<SnapshotDocument> => ({
    ok: false,
    problems: [{ file, line: 0, column: 0, path: "", message, suggestion }],
  });
  if (text.length > formatLimits.snapshotCharacters)
    return refuse(`longer than ${formatLimits.snapshotCharacters} characters`, "take it of a smaller cloud");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse("this is no JSON", "take one with consort snapshot -o FILE");
  }
  if (typeof value !== "object" || value === null || !("format" in value))
    return refuse("this is no snapshot: it has no format", "take one with consort snapshot -o FILE");
  return check(snapshotSchema, sourceOf(value), file);
}
