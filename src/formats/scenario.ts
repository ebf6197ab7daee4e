import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { check, located } from "#formats/issues.ts";
import { formatLimits } from "#formats/limits.ts";
import type { Finding, Parsed, Path, Problem } from "#formats/problem.ts";
import { formatOf, readSource } from "#formats/read.ts";
import { cloudOf } from "#formats/scenario-cloud.ts";
import type { LoadLifetime, LoadSource, Scenario } from "#formats/scenario-content.ts";
import { demandOf } from "#formats/scenario-demand.ts";
import { reportParts, scenarioSchema } from "#formats/scenario-schema.ts";
import type { LoadDocument, ScenarioDocument } from "#formats/scenario-schema.ts";
import { ensembleSourceOf, stepsOf } from "#formats/scenario-steps.ts";
import { parseRate } from "#formats/scenario-units.ts";
import type { Source } from "#formats/source.ts";
import { parseDuration } from "#formats/units.ts";

/** A scenario from a file's text, YAML or JSON. Never throws; docs/reference/scenario.md describes the vocabulary. */
export function parseScenario(text: string, options: { readonly file: string }): Parsed<Scenario> {
  const { file } = options;
  const source = sourceOf(text, file);
  if (!source.ok) return source;
  const checked = check(scenarioSchema, source.value, file);
  if (!checked.ok) return checked;
  const findings: Finding[] = [];
  const scenario = buildScenario(checked.value, findings);
  if (findings.length > 0) return { ok: false, problems: located(findings, source.value, file) };
  return { ok: true, value: scenario };
}

/** Findings in a scenario as problems, with their places in the text it was read from. */
export function problemsIn(
  text: string,
  options: { readonly file: string },
  findings: readonly Finding[],
): readonly Problem[] {
  const source = sourceOf(text, options.file);
  return source.ok ? located(findings, source.value, options.file) : source.problems;
}

const sourceOf = (text: string, file: string): Parsed<Source> =>
  readSource(text, file, formatOf(file) === "json" ? "json" : "yaml", formatLimits.topologyBytes);

function buildScenario(document: ScenarioDocument, findings: Finding[]): Scenario {
  const durationMs = duration(document.duration);
  if (durationMs === 0) findings.push({ path: ["duration"], message: "expected more than nothing" });
  const steps = (document.steps ?? []).flatMap((step, index) => {
    const atMs = duration(step.at);
    const path: Path = ["steps", index];
    if (atMs > durationMs) {
      const message = `the run ends at ${document.duration}, before this`;
      findings.push({ path: [...path, "at"], message, suggestion: "write a longer duration" });
    }
    return stepsOf(step, atMs, path, findings);
  });
  const { description, policy, seed } = document;
  return {
    name: document.scenario,
    ...(description === undefined ? {} : { description }),
    durationMs,
    seed: seed ?? 1,
    cloud: cloudOf(document.cloud, findings),
    policy: { placement: policy?.placement ?? "spread", consolidate: policy?.consolidate ?? false },
    steps: steps.toSorted((a, b) => a.atMs - b.atMs),
    load: (document.load ?? []).map((load, index) => loadOf(load, ["load", index], findings)),
    demand: (document.demand ?? []).flatMap((demand, index) => {
      const rule = demandOf(demand, ["demand", index], findings);
      return rule === undefined ? [] : [rule];
    }),
    report: document.report ?? reportParts,
  };
}

function loadOf(load: LoadDocument, path: Path, findings: Finding[]): LoadSource {
  const fromMs = load.from === undefined ? millis(0) : duration(load.from);
  const untilMs = load.until === undefined ? undefined : duration(load.until);
  if (untilMs !== undefined && untilMs < fromMs)
    findings.push({ path: [...path, "until"], message: "it ends before it begins" });
  const rate = parseRate(load.rate);
  return {
    ensemble: ensembleSourceOf(load.ensemble, [...path, "ensemble"], findings),
    perMs: rate.ok ? rate.value : 0,
    lifetime: lifetimeOf(load.lifetime),
    fromMs,
    ...(untilMs === undefined ? {} : { untilMs }),
    most: load.most ?? Number.MAX_SAFE_INTEGER,
  };
}

function lifetimeOf(lifetime: LoadDocument["lifetime"]): LoadLifetime {
  if (lifetime === undefined) return { kind: "for-ever" };
  if (typeof lifetime === "object") return { kind: "exponential", meanMs: duration(lifetime.mean) };
  return { kind: "fixed", ms: duration(lifetime) };
}

/** The schema has refused what does not parse. */
function duration(text: string | number): Millis {
  const parsed = parseDuration(String(text));
  if (!parsed.ok) throw new TypeError(`the schema let ${text} pass`);
  return parsed.value;
}
