import type * as z from "zod";
import { formatLimits } from "#formats/limits.ts";
import { formatPath, shown } from "#formats/problem.ts";
import type { Finding, Parsed, Path, Problem } from "#formats/problem.ts";
import { placeOf, valueAt } from "#formats/source.ts";
import type { Source } from "#formats/source.ts";
import { didYouMean } from "#formats/suggestion.ts";

/** Words of other tools' files, and ours for the same thing. */
const otherWords: Readonly<Record<string, string>> = {
  name: "ensemble",
  services: "appliances",
  containers: "appliances",
  machines: "appliances",
  vms: "appliances",
  nodes: "appliances",
  environment: "env",
  cpus: "cpu",
  mem: "memory",
  mem_limit: "memory",
  ram: "memory",
  cmd: "command",
  entrypoint: "command",
  args: "command",
  count: "replicas",
  scale: "replicas",
  rate: "bandwidth",
  ceil: "ceiling",
  working_dir: "directory",
  workdir: "directory",
  stop_grace_period: "stopGrace",
  restart_policy: "restart",
  restartPolicy: "restart",
  onHostLoss: "restart",
  grace: "stopGrace",
  tunnels: "tunnel",
  smp: "vcpus",
  maxcpus: "vcpusMax",
  maxmem: "memoryMax",
  authorized_keys: "sshKeys",
  ssh_authorized_keys: "sshKeys",
  ssh_keys: "sshKeys",
};

/** Values of other tools' files, and ours for the same thing. */
const otherValues: Readonly<Record<string, string>> = { no: "never", "unless-stopped": "always" };

type Issue = z.core.$ZodIssue;

/** The data as the schema's type, or its problems in the order they were written. */
export function check<T extends z.ZodType>(schema: T, source: Source, file: string): Parsed<z.output<T>> {
  const result = schema.safeParse(source.value);
  if (result.success) return { ok: true, value: result.data };
  const findings = result.error.issues.flatMap((issue) => findingsOf(issue, [], schema, source));
  return { ok: false, problems: located(findings, source, file) };
}

/** Findings with their places: in the order of the file, bounded. */
export function located(findings: readonly Finding[], source: Source, file: string): readonly Problem[] {
  return findings
    .map((finding) => ({ finding, place: placeOf(source, finding.path, finding.atKey === true) }))
    .toSorted((a, b) => a.place.line - b.place.line || a.place.column - b.place.column)
    .slice(0, formatLimits.problems)
    .map(({ finding, place }): Problem => {
      const { message, unknown } = finding;
      const near = unknown === undefined ? undefined : didYouMean(unknown.word, [...unknown.known]);
      const suggestion = finding.suggestion ?? near;
      const rest = suggestion === undefined ? {} : { suggestion };
      return { file, ...place, path: formatPath(finding.path), message, ...rest };
    });
}

function findingsOf(issue: Issue, base: Path, schema: z.ZodType, source: Source): Finding[] {
  const path: Path = [...base, ...issue.path.map((part) => (typeof part === "symbol" ? "" : part))];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownKey([...path, key], key, knownKeys(schema, path)));
  }
  if (issue.code === "invalid_key") {
    const message = `${shown(path.at(-1))} is no key here: expected ${issue.issues[0]?.message ?? "another one"}`;
    return [{ path, message, atKey: true }];
  }
  const branch = issue.code === "invalid_union" ? fittingBranch(issue.errors) : undefined;
  if (branch !== undefined) return branch.flatMap((inner) => findingsOf(inner, path, schema, source));
  const value = valueAt(source.value, path);
  const expected = issue.code === "invalid_value" ? oneOf(issue.values) : issue.message;
  if (value === undefined) return [{ path, message: `missing: expected ${expected}` }];
  const given: unknown = issue.code === "custom" ? issue.params?.["suggestion"] : undefined;
  const suggestion = typeof given === "string" ? given : nearestValue(issue, value);
  const told = suggestion === undefined ? {} : { suggestion };
  // Such an issue says all by itself: what is wrong is not the value as a whole.
  if (issue.code === "custom" && issue.params?.["whole"] === true)
    return [{ path, message: issue.message, ...told }];
  const found = issue.code === "too_big" || issue.code === "too_small" ? length(value) : shown(value);
  return [
    {
      path,
      message: `expected ${expected}, not ${found}`,
      ...told,
    },
  ];
}

/** Of several forms, the one the writer evidently meant: the first that was wrong inside rather than as a whole. */
function fittingBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find((issues) =>
    issues.every((issue) => issue.path.length > 0 || !["invalid_type", "invalid_value"].includes(issue.code)),
  );
}

function unknownKey(path: Path, key: string, known: readonly string[]): Finding {
  const other = Object.hasOwn(otherWords, key) ? otherWords[key] : undefined;
  const message = `${shown(key)} is not known here`;
  if (other !== undefined && known.includes(other)) {
    return { path, message, atKey: true, suggestion: `did you mean "${other}"?` };
  }
  return { path, message, atKey: true, unknown: { word: key, known } };
}

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? shown(values[0]) : `one of ${values.map(String).join(", ")}`;
}

function nearestValue(issue: Issue, value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const known = knownValues(issue);
  const other = Object.hasOwn(otherValues, value) ? otherValues[value] : undefined;
  if (other !== undefined && known.includes(other)) return `did you mean "${other}"?`;
  const near = didYouMean(value, known);
  return near?.startsWith("did") === true ? near : undefined;
}

/** The words that would have been taken, also where a map would have been, too. */
function knownValues(issue: Issue): string[] {
  if (issue.code === "invalid_value") return issue.values.map(String);
  if (issue.code !== "invalid_union") return [];
  return issue.errors.flat().flatMap((inner) => (inner.path.length === 0 ? knownValues(inner) : []));
}

function length(value: unknown): string {
  if (typeof value === "string") return `${value.length} characters`;
  return Array.isArray(value) ? `${value.length}` : shown(value);
}

/** The keys the schema knows at `path`. */
function knownKeys(schema: z.core.$ZodType, path: Path): string[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const [head, ...rest] = path;
  switch (def.type) {
    case "optional":
    case "nullable":
      return knownKeys(def.innerType, path);
    case "union":
      return def.options.flatMap((option) => knownKeys(option, path));
    case "object": {
      if (head === undefined) return Object.keys(def.shape);
      const next = typeof head === "string" ? def.shape[head] : undefined;
      return next === undefined ? [] : knownKeys(next, rest);
    }
    case "record":
      return head === undefined ? [] : knownKeys(def.valueType, rest);
    case "array":
      return head === undefined ? [] : knownKeys(def.element, rest);
    default:
      return [];
  }
}
