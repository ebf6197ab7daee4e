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
