import { ConsortError } from "#base/errors.ts";
import type { ClusterContext } from "#cluster/context.ts";
import {
  cancelJob,
  jobOutput,
  jobView,
  jobViews,
  knownJob,
  removeJob,
  submitJob,
} from "#cluster/job-requests.ts";
import type { JobService } from "#cluster/job-service.ts";
import type { JobReconciler } from "#cluster/reconcilers/jobs.ts";
import type { SecretStore } from "#drivers/secret/port.ts";
import type { JobSpec } from "#model/job.ts";
import type { JobOutput, JobStatus } from "#protocol/http/job.ts";

type InCharge = { readonly context: ClusterContext; readonly jobs: JobReconciler };

/** Jobs as callers see them. Everything throws `unavailable` while the manager is not in charge. */
export class ClusterJobs implements JobService {
  readonly #inCharge: () => InCharge;
  readonly #kept: SecretStore | undefined;

  constructor(inCharge: () => InCharge, secrets: SecretStore | undefined) {
    this.#inCharge = inCharge;
    this.#kept = secrets;
  }

  async submit(job: JobSpec, signal: AbortSignal): Promise<JobStatus> {
    const { context, jobs } = this.#inCharge();
    const submitted = await submitJob(context, job, signal);
    jobs.now();
    return submitted;
  }

  async list(): Promise<JobStatus[]> {
    return jobViews(this.#inCharge().context);
  }

  async get(id: string): Promise<JobStatus> {
    return jobView(knownJob(this.#inCharge().context, id));
  }

  async declared(id: string): Promise<JobSpec> {
    return knownJob(this.#inCharge().context, id).job;
  }

  async cancel(id: string, signal: AbortSignal): Promise<JobStatus> {
    const { context, jobs } = this.#inCharge();
    const cancelled = await cancelJob(context, id, signal);
    jobs.now();
    return cancelled;
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    const { context, jobs } = this.#inCharge();
    await removeJob(context, id, signal);
    jobs.now();
  }

  async output(...[id, range, signal]: Parameters<JobService["output"]>): Promise<JobOutput> {
    return jobOutput(this.#inCharge().context, id, range, signal);
  }

  async secrets(signal: AbortSignal): Promise<string[]> {
    return this.#secrets().names(signal);
  }

  async setSecret(...[name, fields, signal]: Parameters<JobService["setSecret"]>): Promise<void> {
    return this.#secrets().set(name, fields, signal);
  }

  async removeSecret(name: string, signal: AbortSignal): Promise<void> {
    return this.#secrets().remove(name, signal);
  }

  /** What is in one: for hosts that use it, never for callers. */
  async secret(name: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    return this.#secrets().get(name, signal);
  }

  #secrets(): SecretStore {
    this.#inCharge();
    if (this.#kept !== undefined) return this.#kept;
    throw new ConsortError("unsupported", "Cannot keep secrets: this manager has no place for them");
  }
}
