export { ensembleDocument } from "#formats/ensemble-document.ts";

import { buildEnsemble } from "#formats/ensemble-build.ts";
import { ensembleFindings } from "#formats/ensemble-checks.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import { formatPath } from "#formats/problem.ts";
import type { Parsed, Problem } from "#formats/problem.ts";
import { formatOf, readSource } from "#formats/read.ts";
import type { TextFormat } from "#formats/read.ts";
import { sourceOf } from "#formats/source.ts";
import type { Places, Source } from "#formats/source.ts";
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
  const checked = check(ensembleSchema, withoutExtensions(source), file);
  if (!checked.ok) return { ok: false, problems: withRest(checked.problems, source, file) };
  const built = buildEnsemble(checked.value);
  const findings = [...built.findings, ...ensembleFindings(built)];
  if (findings.length > 0) return { ok: false, problems: located(findings, source, file) };
  return { ok: true, value: built.ensemble };
}

/** What nothing else of a file refers to: the rest means the same without one of these. */
const leaves = ["strategies", "adjustments"];

/**
 * Problems of form, and those of meaning that the rest has: so that a file with both need not be mended twice. Only
 * where no more than strategies and adjustments have a wrong form; the rest would mean something else without others.
 */
function withRest(problems: readonly Problem[], source: Source, file: string): readonly Problem[] {
  const { value, places } = source;
  if (typeof value !== "object" || value === null || problems.length >= formatLimits.problems)
    return problems;
  let left = problems.length;
  const kept = Object.entries(value).map(([key, section]): [string, unknown] => {
    if (!leaves.includes(key) || typeof section !== "object" || section === null) return [key, section];
    const sound = Object.entries(section).filter(([name]) => {
      const own = problems.filter(({ path }) => isWithin(path, formatPath([key, name])));
      left -= own.length;
      return own.length === 0;
    });
    const rest = Object.fromEntries(sound);
    copyPlaces(places, section, rest);
    return [key, rest];
  });
  if (left > 0) return problems;
  const rest = Object.fromEntries(kept);
  copyPlaces(places, value, rest);
  const parsed = parseEnsembleSource({ value: rest, places }, file);
  return parsed.ok
    ? problems
    : [...problems, ...parsed.problems]
        .toSorted((a, b) => a.line - b.line || a.column - b.column)
        .slice(0, formatLimits.problems);
}

const isWithin = (path: string, entry: string): boolean =>
  path === entry || path.startsWith(`${entry}.`) || path.startsWith(`${entry}[`);

function copyPlaces(places: Places, from: object, to: object): void {
  const known = places.get(from);
  if (known !== undefined) places.set(to, known);
}

/** Top-level keys that begin with "x-" are the writer's own: a place for YAML anchors. */
function withoutExtensions(source: Source): Source {
  const { value, places } = source;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return source;
  const kept = Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith("x-")));
  copyPlaces(places, value, kept);
  return { value: kept, places };
}
