import type { ApplianceId } from "#base/ids.ts";
import type { Millis } from "#base/units.ts";
import type { BlobRef, ImageSpec } from "#model/image.ts";
import type { ReportMark } from "#protocol/host-report.ts";

/** Addresses and topics on the bus between the managers, and the bodies that are not a host plan or host report. */
export const clusterAddress = "cluster";
export const hostAddress = (host: string): string => `host/${host}`;

export const topics = {
  /** cluster → host: HostPlan; answered with PlanReceipt once it is durable there. */
  plan: "plan",
  /** host → cluster: HostReport; answered with ReportReceipt. */
  report: "report",
  /** host → cluster: Heartbeat; answered with ReportReceipt. */
  heartbeat: "heartbeat",
  /** host → cluster: Measurements; answered with nothing worth reading. */
  measurements: "measurements",
  /** cluster → host: ExecBody; output goes to the room, then the answer is ExecResult. */
  exec: "exec",
  /** cluster → host: ConsoleBody; output and input go through the session's rooms, the answer is its end. */
  console: "console",
  /** cluster → host: LogBody; answered with LogResult. */
  log: "log",
  /** cluster → host: JobOutputBody; answered with JobOutput. */
  jobOutput: "job-output",
  /** host → cluster: SecretBody; answered with SecretResult. Only of what the host's own plan names. */
  secret: "secret",
  /** cluster → host: UploadBody; answered with UploadResult once that much is there. */
  upload: "upload",
  /** cluster → host: nothing; removes content nobody needs now; answered with CollectResult. */
  collect: "collect",
  /** cluster → host: DiscoverBody; answered with DiscoverResult. */
  discover: "discover",
} as const;

export type PlanReceipt = {
  readonly accepted: boolean;
  /** The highest the host has seen, when it refused an older one. */
  readonly epoch: number;
  readonly revision: number;
};

/**
 * What a host is told for its report. The lease counts from the moment the host sent the report, by the host's own
 * clock: whatever delayed report or receipt shortens it. 0: none is given; the one before goes on until it ends.
 */
export type ReportReceipt = {
  readonly epoch: number;
  readonly leaseMs: Millis;
  /** When to report next, unless something happens. */
  readonly heartbeatMs: Millis;
  /** The report that heartbeats may now refer to; absent: all is to be told, at once if this answers a heartbeat. */
  readonly mark?: ReportMark;
};

export type ExecBody = {
  readonly appliance: ApplianceId;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdinBase64?: string;
  readonly room: string;
};
/** host → host, in the other's room: MoveWord, when a machine never continues on the host it left. */
export const movesRoom = (host: string): string => `moves/${host}`;
/** It says no more than the next host plan would, but sooner. */
export type MoveWord = { readonly appliance: ApplianceId; readonly move: string };
export type ExecChunk = { readonly stream: "stdout" | "stderr"; readonly dataBase64: string };
export type ConsoleBody = { readonly appliance: ApplianceId; readonly session: string };
export type ConsoleChunk = { readonly dataBase64: string };
export const consoleRooms = (session: string): { readonly input: string; readonly output: string } => ({
  input: `console/${session}/input`,
  output: `console/${session}/output`,
});
export type ExecResult = { readonly exitCode: number };

export type JobOutputBody = {
  readonly id: string;
  readonly attempt: number;
  readonly stream: "stdout" | "stderr";
  readonly fromByte: number;
  readonly maxBytes: number;
};

export type SecretBody = { readonly host: string; readonly name: string };
export type SecretResult = { readonly fields: Readonly<Record<string, string>> };

export type LogBody = { readonly appliance: ApplianceId; readonly maxBytes: number };
export type LogResult = { readonly text: string };

/** A part of content, from that byte on: the data, and then so many zeros. */
export type UploadBody = {
  readonly blob: BlobRef;
  readonly fromByte: number;
  readonly dataBase64: string;
  readonly zeroBytes?: number;
};
/** `haveBytes`: what is there, from its beginning; the next part begins there. Complete: it was checked, and is durable. */
export type UploadResult = { readonly haveBytes: number; readonly complete: boolean };

export type CollectResult = { readonly removed: number; readonly freedBytes: number };

export type DiscoverBody = { readonly url: string; readonly secret?: Readonly<Record<string, string>> };
export type DiscoverResult = { readonly images: readonly ImageSpec[] };
