import type { ApplianceId } from "#base/ids.ts";
import type { Millis } from "#base/units.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";

/** A program to run in an appliance, with what is brought there before and taken away after (reference emotive.md, Tasks). */
export type JobSpec = {
  readonly name: string;
  readonly description?: string;
  readonly runsIn: JobTarget;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute, made when missing; absent: one of the job's own, which goes with it. Relative paths begin here. */
  readonly directory?: string;
  /** Paths inside the appliance; absent: no input, and output is only kept for reading. */
  readonly stdin?: string;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly stageIn: readonly StageIn[];
  readonly stageOut: readonly StageOut[];
  readonly retry: RetryPolicy;
  /** Ended when one attempt takes longer. */
  readonly timeLimitMs?: Millis;
};

/** Beside what runs in an appliance that is there, or in a machine that is made for it and removed after it. */
export type JobTarget =
  | { readonly kind: "appliance"; readonly appliance: ApplianceId }
  | { readonly kind: "machine"; readonly machine: ApplianceSpec };

/** An address outside (file, sftp, ftp, s3, webhdfs, http, https), and who may use it. */
export type StagingAddress = {
  readonly url: string;
  /** Name of a secret that holds what the other side asks for. */
  readonly credentials?: string;
};

export type StageIn = StagingAddress & {
  readonly path: string;
  /** Where there is such a file already. */
  readonly ifThere: "overwrite" | "append" | "keep";
  /** Removed when the job is over. */
  readonly deleteAfter?: true;
};

export type StageOut = StagingAddress & {
  readonly path: string;
  /** Also of a job that failed. */
  readonly always?: true;
  readonly deleteAfter?: true;
};

export type RetryPolicy = {
  readonly attemptsMax: number;
  /** First pause before another attempt; doubles up to the longest. */
  readonly backoffMsMin: Millis;
  readonly backoffMsMax: Millis;
};

/**
 *     queued → staging-in → running → staging-out → done
 *       └──────────┴───────────┴──────────┴──► failed | cancelled        (failed → queued while it may be tried again)
 */
export type JobState = "queued" | "staging-in" | "running" | "staging-out" | "done" | "failed" | "cancelled";

/** Nothing follows. */
export const isOver = (state: JobState): boolean =>
  state === "done" || state === "failed" || state === "cancelled";

/** Wall time between the end of an attempt and the next one. */
export function pauseBeforeAttempt(retry: RetryPolicy, attempt: number): number {
  return Math.min(retry.backoffMsMax, retry.backoffMsMin * 2 ** Math.max(0, attempt - 2));
}
