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
/** What is asked of the managers, who may refuse it. */
const askedWords: ReadonlySet<string> = new Set(["up", "down", "cancel", ...hostVerbs]);
const allWords = [...ownWords, ...faultWords] as const;

/** One step of the file: several steps where it names several ensembles, hosts or sentences. */
export function stepsOf(step: StepDocument, atMs: Millis, path: Path, findings: Finding[]): ScenarioStep[] {
  const given = allWords.filter((word) => step[word] !== undefined);
  const isRefusal = step.expect === "refused" && given.some((word) => askedWords.has(word));
  const words = given.filter((word) => !(isRefusal && word === "expect"));
  const [word = ""] = words;
  if (words.length !== 1) {
    const message =
      words.length === 0 ? "what happens is not said" : `${words.join(" and ")} are two steps, not one`;
    const known = `${ownWords.join(", ")}, or a fault: ${faultWords.join(", ")}`;
    findings.push({ path, message, suggestion: words.length === 0 ? `write one of ${known}` : "write two" });
    return [];
  }
  const at: Path = [...path, word];
  const faults = faultsOf(step, atMs, path, findings);
  if (faults.length > 0) return faults.map((fault) => ({ kind: "fault", atMs, path: at, fault }));
  if (step.note !== undefined) return [{ kind: "note", atMs, path: at, text: step.note }];
  if (step.expect !== undefined && !isRefusal)
    return listOf(step.expect, at).flatMap(([text, place]): ScenarioStep[] => {
      const expectation = expectationOf(text, place, findings);
      return expectation === undefined ? [] : [{ kind: "expect", atMs, path: place, expectation }];
    });
  const asked = { atMs, ...(isRefusal ? { expectRefused: true } : {}) };
  if (step.up !== undefined)
    return [{ kind: "up", ...asked, path: at, ensemble: ensembleSourceOf(step.up, at, findings) }];
  if (step.cancel !== undefined)
    return [{ kind: "cancel", ...asked, path: at, subject: String(step.cancel) }];
  if (step.down !== undefined)
    return listOf(step.down, at).map(([ensemble, place]) => ({
      kind: "down",
      ...asked,
      path: place,
      ensemble,
    }));
  return hostVerbs.flatMap((verb) =>
    listOf(step[verb] ?? [], at).map(([host, place]): ScenarioStep => ({
      kind: "host",
      ...asked,
      path: place,
      verb,
      host,
    })),
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

/** Each with its place. */
const listOf = (value: string | readonly string[], path: Path): readonly (readonly [string, Path])[] =>
  typeof value === "string" ? [[value, path]] : value.map((one, index) => [one, [...path, index]]);
