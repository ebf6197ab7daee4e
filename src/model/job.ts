import type { ApplianceId } from "#base/ids.ts";
import type { Millis } from "#base/units.ts";

/** A program to run in an appliance, with what is brought there before and taken away after (reference emotive.md, Tasks). */
export type JobSpec = {
  readonly name: string;
  readonly appliance: ApplianceId;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** A path inside the appliance; absent: empty. */
  readonly stdin?: string;
  readonly stageIn: readonly Staging[];
  /** After it ended; of a failed one only with `always`. */
  readonly stageOut: readonly Staging[];
  readonly retry: RetryPolicy;
  /** Ended when it takes longer. */
  readonly timeLimitMs?: Millis;
};

/** Between a path inside the appliance and an address (file, sftp, ftp, s3, webhdfs, http, https). */
export type Staging = {
  readonly path: string;
  readonly url: string;
  /** Name of a secret that holds what the other side asks for. */
  readonly credentials?: string;
  readonly always?: true;
};

export type RetryPolicy = {
  readonly attemptsMax: number;
  readonly backoffMsMin: Millis;
  readonly backoffMsMax: Millis;
};

/**
 *     queued → staging-in → running → staging-out → done
 *       └──────────┴───────────┴──────────┴──► failed | cancelled        (failed → queued while it may be tried again)
 */
export type JobState = "queued" | "staging-in" | "running" | "staging-out" | "done" | "failed" | "cancelled";
