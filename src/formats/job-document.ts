import { jobDefaults } from "#formats/job-build.ts";
import { machineDocument } from "#formats/job-machine.ts";
import type { JobDocument } from "#formats/job-schema.ts";
import { durationText } from "#formats/units.ts";
import type { JobSpec, RetryPolicy, StageIn, StageOut } from "#model/job.ts";

/** A job as plain JSON in the file's own vocabulary and people's units; what equals a default is left out. */
export function jobDocument(job: JobSpec): JobDocument {
  const { runsIn } = job;
  return {
    job: job.name,
    ...optional("description", job.description),
    ...(runsIn.kind === "appliance"
      ? { appliance: runsIn.appliance }
      : { machine: machineDocument(runsIn.machine) }),
    command: [...job.command],
    ...(Object.keys(job.env).length === 0 ? {} : { env: { ...job.env } }),
    ...optional("directory", job.directory),
    ...optional("stdin", job.stdin),
    ...optional("stdout", job.stdout),
    ...optional("stderr", job.stderr),
    ...(job.stageIn.length === 0 ? {} : { stageIn: job.stageIn.map(stageInDocument) }),
    ...(job.stageOut.length === 0 ? {} : { stageOut: job.stageOut.map(stageOutDocument) }),
    ...retryDocument(job.retry),
    ...(job.timeLimitMs === undefined ? {} : { timeLimit: durationText(job.timeLimitMs) }),
  };
}

const optional = <Key extends string>(key: Key, value: string | undefined): { [K in Key]?: string } =>
  value === undefined ? {} : ({ [key]: value } as { [K in Key]: string });

const stageInDocument = (one: StageIn): NonNullable<JobDocument["stageIn"]>[number] => ({
  from: one.url,
  to: one.path,
  ...(one.ifThere === "overwrite" ? {} : { ifThere: one.ifThere }),
  ...(one.deleteAfter === undefined ? {} : { delete: true }),
  ...optional("credentials", one.credentials),
});

const stageOutDocument = (one: StageOut): NonNullable<JobDocument["stageOut"]>[number] => ({
  from: one.path,
  to: one.url,
  ...(one.always === undefined ? {} : { always: true }),
  ...(one.deleteAfter === undefined ? {} : { delete: true }),
  ...optional("credentials", one.credentials),
});

function retryDocument({ attemptsMax, backoffMsMin, backoffMsMax }: RetryPolicy): Pick<JobDocument, "retry"> {
  const usual = backoffMsMin === jobDefaults.backoffMsMin && backoffMsMax === jobDefaults.backoffMsMax;
  if (usual) return attemptsMax === jobDefaults.attemptsMax ? {} : { retry: attemptsMax };
  const backoff = { min: durationText(backoffMsMin), max: durationText(backoffMsMax) };
  return { retry: { attempts: attemptsMax, backoff } };
}
