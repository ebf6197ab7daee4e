import { lineWidth } from "#cli/command.ts";
import type { CommandContext } from "#cli/command.ts";
import { age } from "#cli/quantities.ts";
import { formatFacts, formatTable } from "#cli/table.ts";
import type { JobStatus } from "#protocol/http/job.ts";

const tookOf = ({ startedAtMs, endedAtMs }: JobStatus): string =>
  startedAtMs === undefined || endedAtMs === undefined
    ? "-"
    : `${((endedAtMs - startedAtMs) / 1000).toFixed(2)}s`;

const attemptOf = ({ attempt, attemptsMax }: JobStatus): string =>
  attemptsMax === 1 ? String(attempt) : `${attempt}/${attemptsMax}`;

const stateOf = ({ state, cancelled }: JobStatus): string =>
  cancelled && state !== "cancelled" ? `${state}, to end` : state;

export function jobTable(jobs: readonly JobStatus[], { clock, terminal }: CommandContext): string {
  return formatTable<JobStatus>(
    [
      { heading: "JOB", cell: (row) => row.id },
      { heading: "STATE", cell: stateOf },
      { heading: "APPLIANCE", cell: (row) => (row.ownMachine ? "its own" : row.appliance) },
      { heading: "HOST", cell: (row) => row.host ?? "-" },
      { heading: "ATTEMPT", right: true, cell: attemptOf },
      { heading: "AGE", right: true, cell: (row) => age(row.submittedAtMs, clock.now()) },
      { heading: "TOOK", right: true, cell: tookOf, optional: true },
      { heading: "EXIT", right: true, cell: (row) => String(row.exitCode ?? "-"), optional: true },
      { heading: "MESSAGE", cell: (row) => row.message ?? "", optional: true },
    ],
    jobs,
    lineWidth(terminal),
  );
}

/** Everything there is to tell of one. */
export function jobLines(job: JobStatus): string {
  const at = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : new Date(ms).toISOString();
  const facts = formatFacts([
    ["job", job.id],
    ["state", stateOf(job)],
    ["appliance", job.ownMachine ? `${job.appliance}, its own` : job.appliance],
    ["host", job.host],
    ["attempt", attemptOf(job)],
    ["submitted", at(job.submittedAtMs)],
    ["started", at(job.startedAtMs)],
    ["ended", at(job.endedAtMs)],
    ["next attempt", job.state === "queued" ? at(job.dueAtMs) : undefined],
    ["exit code", job.exitCode === undefined ? undefined : String(job.exitCode)],
    ["message", job.message],
  ]);
  if (job.failedAttempts.length === 0) return facts;
  const attempts = formatTable(
    [
      { heading: "ATTEMPT", right: true, cell: (row) => String(row.attempt) },
      { heading: "HOST", cell: (row) => row.host ?? "-" },
      { heading: "EXIT", right: true, cell: (row) => String(row.exitCode ?? "-") },
      { heading: "WHY IT FAILED", cell: (row) => row.message },
    ],
    job.failedAttempts,
  );
  return `${facts}\n${attempts}`;
}
