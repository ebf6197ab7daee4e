import type { JobSpec } from "#model/job.ts";
import type { JobOutput, JobStatus, JobStream } from "#protocol/http/job.ts";

/** Where in a stream, and how much of it. */
export type JobOutputRange = {
  readonly stream: JobStream;
  readonly fromByte: number;
  readonly maxBytes: number;
};

/** What the API asks of a cluster manager about jobs. */
export interface JobService {
  /** A job, durable when it resolves; its file form is checked. Throws `not_found` without its appliance. */
  submit(job: JobSpec, signal: AbortSignal): Promise<JobStatus>;
  /** Newest first. */
  list(signal: AbortSignal): Promise<JobStatus[]>;
  /** Throws `not_found`, as all that follow. */
  get(id: string, signal: AbortSignal): Promise<JobStatus>;
  /** As it was submitted. */
  declared(id: string, signal: AbortSignal): Promise<JobSpec>;
  /** Throws `conflict` when it is over. */
  cancel(id: string, signal: AbortSignal): Promise<JobStatus>;
  /** Throws `conflict` unless it is over. */
  remove(id: string, signal: AbortSignal): Promise<void>;
  /** From the host of its newest attempt. Throws `unavailable` when that cannot be reached. */
  output(id: string, range: JobOutputRange, signal: AbortSignal): Promise<JobOutput>;
  /** Names only: what is in secrets is told to nobody but the hosts that use them. */
  secrets(signal: AbortSignal): Promise<string[]>;
  setSecret(name: string, fields: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
  removeSecret(name: string, signal: AbortSignal): Promise<void>;
}
