import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { JobDocument } from "#formats/job-schema.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { durationOf, given, wordsOf } from "#formats/quantities.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { JobSpec, JobTarget, RetryPolicy } from "#model/job.ts";

export const jobDefaults = {
  attemptsMax: 1,
  backoffMsMin: millis(1000),
  backoffMsMax: millis(60_000),
} as const;

/** From a document that fits the schema, and the machine it declares, if it does. */
export function buildJob(
  document: JobDocument,
  machine: ApplianceSpec | undefined,
): { readonly job: JobSpec; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const job: JobSpec = {
    name: document.job,
    ...given("description", document.description),
    runsIn: targetOf(document, machine, findings),
    command: wordsOf(document.command, ["command"], findings),
    env: Object.fromEntries(Object.entries(document.env ?? {}).map(([key, value]) => [key, String(value)])),
    ...given("directory", document.directory),
    ...given("stdin", document.stdin),
    ...given("stdout", document.stdout),
    ...given("stderr", document.stderr),
    stageIn: (document.stageIn ?? []).map((one) => ({
      url: String(one.from),
      path: one.to,
      ifThere: one.ifThere ?? "overwrite",
      ...(one.delete === true ? { deleteAfter: true as const } : {}),
      ...given("credentials", one.credentials),
    })),
    stageOut: (document.stageOut ?? []).map((one) => ({
      url: String(one.to),
      path: one.from,
      ...(one.always === true ? { always: true as const } : {}),
      ...(one.delete === true ? { deleteAfter: true as const } : {}),
      ...given("credentials", one.credentials),
    })),
    retry: retryOf(document.retry, findings),
    ...given("timeLimitMs", durationOf(document.timeLimit)),
  };
  if (job.timeLimitMs !== undefined && job.timeLimitMs < 1)
    findings.push({ path: ["timeLimit"], message: "no time at all", suggestion: "write timeLimit: 10m" });
  for (const [index, { url }] of job.stageOut.entries()) {
    if (/^https?:/i.test(url)) findings.push(...onlyReadable(["stageOut", index, "to"]));
  }
  return { job, findings };
}

const onlyReadable = (path: Path): Finding[] => [
  {
    path,
    message: "files are not taken away by http",
    suggestion: "write file, sftp, ftp, s3 or webhdfs",
  },
];

function targetOf(document: JobDocument, machine: ApplianceSpec | undefined, findings: Finding[]): JobTarget {
  const { appliance } = document;
  if (appliance !== undefined && machine !== undefined) {
    findings.push({
      path: ["machine"],
      message: "it runs either in an appliance or in a machine of its own, and both are given",
      suggestion: "leave one of appliance and machine out",
    });
  }
  if (machine !== undefined) return { kind: "machine", machine };
  if (appliance === undefined) {
    findings.push({
      path: [],
      message: "where it runs is not said",
      suggestion: "write appliance: shop/worker, or machine: {memory: 512MiB}",
    });
  }
  return { kind: "appliance", appliance: (appliance ?? "") as ApplianceId };
}

function retryOf(retry: JobDocument["retry"], findings: Finding[]): RetryPolicy {
  const { attemptsMax, backoffMsMin: least, backoffMsMax: most } = jobDefaults;
  if (retry === undefined) return { attemptsMax, backoffMsMin: least, backoffMsMax: most };
  if (typeof retry === "number") return { attemptsMax: retry, backoffMsMin: least, backoffMsMax: most };
  const { backoff } = retry;
  const pauses = typeof backoff === "object" ? backoff : { min: backoff };
  const backoffMsMin = durationOf(pauses.min) ?? least;
  const told = "max" in pauses ? durationOf(pauses.max) : undefined;
  const backoffMsMax = told ?? millis(Math.max(backoffMsMin, most));
  if (backoffMsMax < backoffMsMin)
    findings.push({ path: ["retry", "backoff"], message: "its max is shorter than its min" });
  return { attemptsMax: retry.attempts, backoffMsMin, backoffMsMax };
}
