import type { ApplianceId } from "#base/ids.ts";
import type { Millis } from "#base/units.ts";
import type { StageIn, StageOut } from "#model/job.ts";

/** Where an attempt works: `key` is its own in all the cloud, `directory` the one its job asks for. */
export type JobPlace = { readonly appliance: ApplianceId; readonly key: string; readonly directory?: string };

export type JobProgram = {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly stdout?: string;
  readonly stderr?: string;
};

/** How far what it wrote has been read, in the words of whoever keeps it inside. */
export type StreamCursor = { readonly part: number; readonly offset: number };
export type JobCursor = { readonly stdout: StreamCursor; readonly stderr: StreamCursor };

/**
 * none: it never began, and from now on cannot begin; gone: it began, or was about to, and its process is there no more
 * without having told how it ended.
 */
export type JobStanding =
  | { readonly state: "none" | "running" | "gone" }
  | { readonly state: "ended"; readonly exitCode: number };

export type JobLook = {
  readonly standing: JobStanding;
  /** What it wrote after the cursor, a piece at a time. */
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly cursor: JobCursor;
};

/**
 * Runs programs of jobs inside appliances of this host. What it starts goes on whoever dies out here, for as long as
 * its appliance runs, and is found again by its place. Everything rejects with `conflict` while the appliance cannot
 * be worked in, with what to wait for.
 */
export interface JobDriver {
  /** A file of number `index`, from its address to its path. May be done again, also after it was cut off. */
  stageIn(place: JobPlace, index: number, file: StageIn, signal: AbortSignal): Promise<void>;
  /** Begins the program, once: asked again for the same place nothing happens. */
  begin(place: JobPlace, program: JobProgram, signal: AbortSignal): Promise<void>;
  look(place: JobPlace, cursor: JobCursor, signal: AbortSignal): Promise<JobLook>;
  /** Politely, then for certain after `graceMs`: nothing it started in its session runs when this resolves. */
  end(place: JobPlace, graceMs: Millis, signal: AbortSignal): Promise<void>;
  /** A file from its path to its address. May be done again. */
  stageOut(place: JobPlace, index: number, file: StageOut, signal: AbortSignal): Promise<void>;
  /** Leaves nothing of it in the appliance but what the job put elsewhere itself; of that, removes these paths. */
  clear(place: JobPlace, paths: readonly string[], signal: AbortSignal): Promise<void>;
}

export const jobStart: JobCursor = { stdout: { part: 0, offset: 0 }, stderr: { part: 0, offset: 0 } };

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
