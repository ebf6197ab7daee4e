export { ensembleDocument } from "#formats/ensemble-document.ts";

import { buildEnsemble } from "#formats/ensemble-build.ts";
import { ensembleFindings } from "#formats/ensemble-checks.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Parsed, Problem } from "#formats/problem.ts";
import { formatOf, readSource } from "#formats/read.ts";
import type { TextFormat } from "#formats/read.ts";
import { sourceOf } from "#formats/source.ts";
import { soundRest } from "#formats/sound-rest.ts";
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
  return source.ok ? parseEnsembleSource(source.value, file) : source;
}

/** The same from parsed JSON, as the HTTP API receives it; `file` only names it in problems, whose lines are 0. */
export function parseEnsembleDocument(value: unknown, file: string): Parsed<Ensemble> {
  return parseEnsembleSource(sourceOf(value), file);
}

/** YAML for people: the shortest that reads back as the same ensemble. */
export function formatEnsembleYaml(ensemble: Ensemble): string {
  return yamlText(ensembleDocument(ensemble));
}

/** The same from data with places. */
export function parseEnsembleSource(source: Source, file: string): Parsed<Ensemble> {
  const own = withoutExtensions(source);
  const judged = judge(own, file);
  if (judged.ok || judged.hasForm) return judged;
  const { problems } = judged;
  const rest = soundRest(own, problems, Object.keys(ensembleSchema.shape));
  const more = rest === undefined ? undefined : judge(rest.source, file);
  if (rest === undefined || more === undefined || more.ok || !more.hasForm) return { ok: false, problems };
  const all = [...problems, ...more.problems.filter((problem) => rest.isSure(problem))]
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
    .slice(0, formatLimits.problems);
  return { ok: false, problems: all };
}

type Judged =
  | { readonly ok: true; readonly value: Ensemble }
  /** `hasForm`: each part has the form it should have, but they do not make sense together. */
  | { readonly ok: false; readonly hasForm: boolean; readonly problems: readonly Problem[] };

function judge(source: Source, file: string): Judged {
  const checked = check(ensembleSchema, source, file);
  if (!checked.ok) return { ...checked, hasForm: false };
  const built = buildEnsemble(checked.value);
  const findings = [...built.findings, ...ensembleFindings(built)];
  if (findings.length > 0) return { ok: false, hasForm: true, problems: located(findings, source, file) };
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
