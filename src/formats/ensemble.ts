export { ensembleDocument } from "#formats/ensemble-document.ts";

import { buildEnsemble } from "#formats/ensemble-build.ts";
import { ensembleFindings } from "#formats/ensemble-checks.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Parsed } from "#formats/problem.ts";
import { formatOf, readSource } from "#formats/read.ts";
import type { TextFormat } from "#formats/read.ts";
import { sourceOf } from "#formats/source.ts";
import type { Source } from "#formats/source.ts";
import { yamlText } from "#formats/yaml-text.ts";
import type { Ensemble } from "#model/ensemble.ts";

/**
 * An ensemble from a file's text: YAML, JSON or DEVA XML, by `format` or else by the file's name. Never throws;
 * problems carry line and column. docs/reference/ensemble.md describes the vocabulary.
 */
export function parseEnsemble(
  text: string,
  options: { readonly file: string; readonly format?: TextFormat },
): Parsed<Ensemble> {
  const { file, format = formatOf(file) } = options;
  const source = readSource(text, file, format, formatLimits.ensembleBytes);
  return source.ok ? parseSource(source.value, file) : source;
}

/** The same from parsed JSON, as the HTTP API receives it; `file` only names it in problems, whose lines are 0. */
export function parseEnsembleDocument(value: unknown, file: string): Parsed<Ensemble> {
  return parseSource(sourceOf(value), file);
}

/** YAML for people: the shortest that reads back as the same ensemble. */
export function formatEnsembleYaml(ensemble: Ensemble): string {
  return yamlText(ensembleDocument(ensemble));
}

function parseSource(source: Source, file: string): Parsed<Ensemble> {
  const checked = check(ensembleSchema, withoutExtensions(source), file);
  if (!checked.ok) return checked;
  const built = buildEnsemble(checked.value);
  const findings = [...built.findings, ...ensembleFindings(built)];
  if (findings.length > 0) return { ok: false, problems: located(findings, source, file) };
  return { ok: true, value: built.ensemble };
}

/** Top-level keys that begin with "x-" are the writer's own: a place for YAML anchors. */
function withoutExtensions(source: Source): Source {
  const { value, places } = source;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return source;
  const kept = Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith("x-")));
  const known = places.get(value);
  if (known !== undefined) places.set(kept, known);
  return { value: kept, places };
}
