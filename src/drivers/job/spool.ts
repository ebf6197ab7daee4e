import type { ApplianceId } from "#base/ids.ts";
import type { JobCursor } from "#drivers/job/port.ts";

export type JobPhase = "staging-in" | "running" | "staging-out" | "over";

/** What a host keeps of one attempt, written down before what follows from it is done. */
export type JobEntry = {
  readonly id: string;
  readonly attempt: number;
  readonly appliance: ApplianceId;
  readonly phase: JobPhase;
  /** Wall time at which this host took it up. */
  readonly takenAtMs: number;
  /** Wall time at which its program was, or was about to be, begun. */
  readonly beganAtMs?: number;
  /** Why its program was told to end. */
  readonly ending?: "cancelled" | "timeout";
  readonly cursor: JobCursor;
  /** Bytes of its output that were kept up to the cursor. */
  readonly written: { readonly stdout: number; readonly stderr: number };
  readonly exitCode?: number;
  /** Of one that is over. */
  readonly state?: "done" | "failed" | "cancelled";
  readonly endedAtMs?: number;
  readonly message?: string;
};

export type SpooledOutput = {
  readonly data: Uint8Array;
  readonly fromByte: number;
  readonly nextByte: number;
};

/** What a host keeps of the attempts it was given; survives its manager. */
export interface JobSpool {
  /** All entries, with no more output than they tell of. */
  load(signal: AbortSignal): Promise<readonly JobEntry[]>;
  /** Durable when it resolves. */
  save(entry: JobEntry, signal: AbortSignal): Promise<void>;
  /** Behind what is there, before the entry that tells of it is saved; of much only the newest is kept. */
  append(key: string, stream: "stdout" | "stderr", data: Uint8Array, signal: AbortSignal): Promise<void>;
  /** From there on, or from the oldest that is kept. */
  read(
    key: string,
    stream: "stdout" | "stderr",
    fromByte: number,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<SpooledOutput>;
  remove(key: string, signal: AbortSignal): Promise<void>;
}

export const spoolKey = ({ id, attempt }: { readonly id: string; readonly attempt: number }): string =>
  `${id}.${attempt}`;
