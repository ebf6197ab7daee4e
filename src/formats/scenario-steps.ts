import type { Millis } from "#base/units.ts";
import { buildEnsemble } from "#formats/ensemble-build.ts";
import { ensembleFindings } from "#formats/ensemble-checks.ts";
import type { EnsembleDocument } from "#formats/ensemble-schema.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { hostVerbs } from "#formats/scenario-content.ts";
import type { EnsembleSource, ScenarioStep } from "#formats/scenario-content.ts";
import { expectationOf } from "#formats/scenario-expect.ts";
import { faultsOf, faultWords } from "#formats/scenario-fault.ts";
import type { StepDocument } from "#formats/scenario-schema.ts";

const ownWords = ["up", "down", "cancel", ...hostVerbs, "expect", "note"] as const;
const allWords = [...ownWords, ...faultWords] as const;

/** One step of the file: several steps where it names several ensembles, hosts or sentences. */
export function stepsOf(step: StepDocument, atMs: Millis, path: Path, findings: Finding[]): ScenarioStep[] {
  const words = allWords.filter((word) => step[word] !== undefined);
  if (words.length !== 1) {
    const message =
      words.length === 0 ? "what happens is not said" : `${words.join(" and ")} are two steps, not one`;
    const known = `${ownWords.join(", ")}, or a fault: ${faultWords.join(", ")}`;
    findings.push({ path, message, suggestion: words.length === 0 ? `write one of ${known}` : "write two" });
    return [];
  }
  const faults = faultsOf(step, atMs, path, findings);
  if (faults.length > 0) return faults.map((fault) => ({ kind: "fault", atMs, fault }));
  if (step.up !== undefined)
    return [{ kind: "up", atMs, ensemble: ensembleSourceOf(step.up, [...path, "up"], findings) }];
  if (step.cancel !== undefined) return [{ kind: "cancel", atMs, subject: String(step.cancel) }];
  if (step.note !== undefined) return [{ kind: "note", atMs, text: step.note }];
  if (step.expect !== undefined) {
    const at: Path = [...path, "expect"];
    const isList = typeof step.expect === "object";
    return listOf(step.expect).flatMap((text, index): ScenarioStep[] => {
      const expectation = expectationOf(text, isList ? [...at, index] : at, findings);
      return expectation === undefined ? [] : [{ kind: "expect", atMs, expectation }];
    });
  }
  if (step.down !== undefined) return listOf(step.down).map((ensemble) => ({ kind: "down", atMs, ensemble }));
  return hostVerbs.flatMap((verb) =>
    listOf(step[verb] ?? []).map((host): ScenarioStep => ({ kind: "host", atMs, verb, host })),
  );
}

/** An ensemble written in a scenario, or the path of a file that declares one. */
export function ensembleSourceOf(
  source: string | EnsembleDocument,
  path: Path,
  findings: Finding[],
): EnsembleSource {
  if (typeof source === "string") return { kind: "file", file: source };
  const built = buildEnsemble(source);
  for (const finding of [...built.findings, ...ensembleFindings(built)])
    findings.push({ ...finding, path: [...path, ...finding.path] });
  return { kind: "inline", ensemble: built.ensemble };
}

const listOf = (value: string | readonly string[]): readonly string[] =>
  typeof value === "string" ? [value] : value;
