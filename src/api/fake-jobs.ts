import { ConsortError } from "#base/errors.ts";
import type { JobOutputRange, JobService } from "#cluster/job-service.ts";
import type { JobSpec } from "#model/job.ts";
import type { JobOutput, JobStatus } from "#protocol/http/job.ts";

/** Jobs that are kept and never run: for tests of what is on top of them. */
export class FakeJobs implements JobService {
  all: JobStatus[] = [];
  readonly specs = new Map<string, JobSpec>();
  /** What every job wrote. */
  readonly written = { stdout: "", stderr: "" };
  readonly secretFields = new Map<string, Readonly<Record<string, string>>>();

  async submit(job: JobSpec): Promise<JobStatus> {
    const id = `${job.name}-${String(this.all.length + 1).padStart(8, "0")}`;
    this.specs.set(id, job);
    const status: JobStatus = {
      id,
      name: job.name,
      state: "queued",
      appliance: job.runsIn.kind === "appliance" ? job.runsIn.appliance : `job-${id}/machine`,
      ownMachine: job.runsIn.kind === "machine",
      attempt: 0,
      attemptsMax: job.retry.attemptsMax,
      cancelled: false,
      submittedAtMs: 0,
      failedAttempts: [],
    };
    this.all = [status, ...this.all];
    return status;
  }

  async list(): Promise<JobStatus[]> {
    return this.all;
  }

  async get(id: string): Promise<JobStatus> {
    const found = this.all.find((one) => one.id === id);
    if (found !== undefined) return found;
    throw new ConsortError("not_found", `Cannot find job "${id}": no such job is kept`);
  }

  async declared(id: string): Promise<JobSpec> {
    const job = this.specs.get(id);
    if (job !== undefined) return job;
    throw new ConsortError("not_found", `Cannot find job "${id}": no such job is kept`);
  }

  async cancel(id: string): Promise<JobStatus> {
    const cancelled: JobStatus = { ...(await this.get(id)), state: "cancelled", cancelled: true };
    this.all = this.all.map((one) => (one.id === id ? cancelled : one));
    return cancelled;
  }

  async remove(id: string): Promise<void> {
    await this.get(id);
    this.all = this.all.filter((one) => one.id !== id);
  }

  async output(id: string, { stream, fromByte, maxBytes }: JobOutputRange): Promise<JobOutput> {
    const { attempt } = await this.get(id);
    const all = Buffer.from(this.written[stream]);
    const piece = all.subarray(fromByte, fromByte + maxBytes);
    const nextByte = fromByte + piece.length;
    return {
      attempt,
      dataBase64: piece.toString("base64"),
      fromByte,
      nextByte,
      isOver: nextByte >= all.length,
    };
  }

  async secrets(): Promise<string[]> {
    return [...this.secretFields.keys()].sort();
  }

  async setSecret(name: string, fields: Readonly<Record<string, string>>): Promise<void> {
    this.secretFields.set(name, fields);
  }

  async removeSecret(name: string): Promise<void> {
    if (this.secretFields.delete(name)) return;
    throw new ConsortError("not_found", `Cannot find the secret ${name}: there is none`);
  }
}
