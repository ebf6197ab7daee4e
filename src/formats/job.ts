import { readMachine } from "#formats/job-machine.ts";
import { buildJob } from "#formats/job-build.ts";
import { jobDocument } from "#formats/job-document.ts";
import { jobSchema } from "#formats/job-schema.ts";
import { readJsdl } from "#formats/jsdl.ts";
import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Parsed, Problem } from "#formats/problem.ts";
import { formatOf, readSource } from "#formats/read.ts";
import type { TextFormat } from "#formats/read.ts";
import { memberOf, sourceOf } from "#formats/source.ts";
import type { Source } from "#formats/source.ts";
import { yamlText } from "#formats/yaml-text.ts";
import type { JobSpec } from "#model/job.ts";

/**
 * A job from a file's text: our YAML or JSON, or JSDL 1.0, by `format` or else by the file's name; what begins as XML
 * is JSDL whatever it is called. Never throws; problems carry line and column. docs/reference/jobs.md has the words.
 * `appliance`: where it is to run, whatever the file says.
 */
export function parseJob(
  text: string,
  options: { readonly file: string; readonly format?: TextFormat; readonly appliance?: string },
): Parsed<JobSpec> {
  const { file, appliance } = options;
  const named = /\.jsdl$/i.test(file) || /^\uFEFF?\s*</.test(text) ? "xml" : formatOf(file);
  const source = readSource(text, file, options.format ?? named, formatLimits.jobBytes, readJsdl);
  if (!source.ok) return source;
  return parseSource(appliance === undefined ? source.value : movedTo(source.value, appliance), file);
}

/** The same from parsed JSON, as the HTTP API receives it; `file` only names it in problems, whose lines are 0. */
export function parseJobDocument(value: unknown, file: string): Parsed<JobSpec> {
  return parseSource(sourceOf(value), file);
}

/** YAML for people: the shortest that reads back as the same job. */
export function formatJobYaml(job: JobSpec): string {
  return yamlText(jobDocument(job));
}

function parseSource(source: Source, file: string): Parsed<JobSpec> {
  const checked = check(jobSchema, source, file);
  const hasMachine = memberOf(source.value, "machine") !== undefined;
  const machine = hasMachine ? readMachine(source, file) : undefined;
  if (!checked.ok || machine?.ok === false) {
    const problems = [
      ...(checked.ok ? [] : checked.problems),
      ...(machine?.ok === false ? machine.problems : []),
    ];
    return { ok: false, problems: inOrder(problems) };
  }
  const { job, findings } = buildJob(checked.value, machine?.value);
  if (findings.length > 0) return { ok: false, problems: located(findings, source, file) };
  return { ok: true, value: job };
}

/** Each told once, although both ways of reading a machine may have found it. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems
    .filter(({ path, message }) => {
      const key = `${path} ${message}`;
      return !seen.has(key) && seen.add(key);
    })
    .toSorted((a, b) => a.line - b.line || a.column - b.column)
    .slice(0, formatLimits.problems);
}

function movedTo(source: Source, appliance: string): Source {
  const { value, places } = source;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return source;
  const { machine: _machine, ...rest } = value as Readonly<Record<string, unknown>>;
  const moved = { ...rest, appliance };
  const known = places.get(value);
  if (known !== undefined) places.set(moved, known);
  return { value: moved, places };
}
