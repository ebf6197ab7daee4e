import { messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { JobRun } from "#host/job-run.ts";
import type { JobRunParts } from "#host/job-run.ts";
import { spoolKey } from "#drivers/job/port.ts";
import type { JobEntry } from "#drivers/job/port.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { JobReport } from "#protocol/host-report.ts";
import type { JobOutput } from "#protocol/http/job.ts";
import type { JobOutputBody } from "#protocol/topics.ts";

type Running = { readonly run: JobRun; readonly stop: AbortController; readonly ended: Promise<void> };

/**
 * The attempts of a host's plan, each on its way (job-run.ts). One that is in the plan no more is forgotten with what
 * it wrote: the managers drop none that may still run here, unless its appliance has left or they have given it up.
 */
export class HostJobs {
  readonly #parts: JobRunParts;
  readonly #runs = new Map<string, Running>();
  /** What an earlier manager left, until the plan tells what becomes of it. */
  #found = new Map<string, JobEntry>();

  constructor(parts: JobRunParts) {
    this.#parts = parts;
  }

  /** To be called once, first. */
  async recover(signal: AbortSignal): Promise<void> {
    const entries = await this.#parts.spool.load(signal);
    this.#found = new Map(entries.map((entry) => [spoolKey(entry), entry]));
  }

  /** These from now on, until the signal aborts. */
  follow({ jobs = [] }: HostPlan, signal: AbortSignal): void {
    const wanted = new Map(jobs.map((plan) => [spoolKey(plan), plan]));
    for (const [key, { stop, ended }] of this.#runs) {
      if (wanted.has(key)) continue;
      this.#runs.delete(key);
      stop.abort();
      void this.#forget(key, ended, signal);
    }
    for (const key of this.#found.keys()) {
      if (!wanted.has(key)) void this.#forget(key, Promise.resolve(), signal);
    }
    for (const [key, plan] of wanted) {
      const present = this.#runs.get(key);
      if (present === undefined)
        this.#begin(key, new JobRun(this.#parts, plan, this.#found.get(key)), signal);
      else present.run.follow(plan);
    }
    this.#found.clear();
  }

  #begin(key: string, run: JobRun, signal: AbortSignal): void {
    const stop = new AbortController();
    const joint = AbortSignal.any([signal, stop.signal]);
    const ended = run.run(joint).catch((cause: unknown) => {
      if (!joint.aborted)
        this.#parts.log.error(`Job ${key} is followed no more: ${messageOf(cause)}`, { cause });
    });
    this.#runs.set(key, { run, stop, ended });
  }

  async #forget(key: string, ended: Promise<void>, signal: AbortSignal): Promise<void> {
    await ended;
    // Should this fail, the next manager finds it.
    await this.#parts.spool.remove(key, signal).catch((cause: unknown) => {
      if (!signal.aborted) this.#parts.log.warn(`Cannot forget job ${key}: ${messageOf(cause)}`, { cause });
    });
  }

  /** An appliance may have changed. */
  look(): void {
    for (const { run } of this.#runs.values()) run.look();
  }

  reports(): JobReport[] {
    return [...this.#runs.values()].flatMap(({ run }) => (run.isHere ? [run.report()] : []));
  }

  async output(asked: JobOutputBody, signal: AbortSignal): Promise<JobOutput> {
    const { attempt, stream, fromByte } = asked;
    const key = spoolKey(asked);
    const run = this.#runs.get(key)?.run;
    const maxBytes = Math.min(asked.maxBytes, limits.jobOutputBytesPerAnswer);
    const written = run?.entry.written[stream] ?? 0;
    // Asked before it is read: what is written in between is not missed.
    const isOver = run === undefined || !run.isFollowed;
    const piece = await this.#parts.spool.read(key, stream, fromByte, maxBytes, signal);
    return {
      attempt,
      dataBase64: Buffer.from(piece.data).toString("base64"),
      fromByte: piece.fromByte,
      nextByte: piece.nextByte,
      isOver: isOver && piece.nextByte >= written,
    };
  }
}
