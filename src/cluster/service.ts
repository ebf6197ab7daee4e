import type { ResizeRequest } from "#cluster/adjusting.ts";
import type { ForgetRequest } from "#cluster/maintenance.ts";
import type { MigrateRequest } from "#cluster/migrating.ts";
import type { JobService } from "#cluster/job-service.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import type { OperationId } from "#base/ids.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { ImageSpec } from "#model/image.ts";
import type { CheckpointWish } from "#cluster/checkpoint-requests.ts";
import type { CheckpointRequestStatus, Checkpoints } from "#protocol/http/checkpoint.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { Explanation, PlanResult } from "#protocol/http/plan.ts";
import type { EnsembleStatus, Event, HostStatus } from "#protocol/http/status.ts";
import type { CollectResult, UploadBody, UploadResult } from "#protocol/topics.ts";

/** What the API asks of a cluster manager. Reads are of the present; changes return an operation once it is durable. */
export interface ClusterService {
  /** Accepts the ensemble as desired state, new or changed. Throws `unsatisfiable` when the promises cannot be kept, changing nothing. */
  up(ensemble: Ensemble, signal: AbortSignal): Promise<Operation>;
  /** Throws `not_found`. */
  down(ensemble: string, signal: AbortSignal): Promise<Operation>;
  /**
   * Other sizes for appliances where they are, all of them at once. Throws `unsatisfiable` when a host or a link cannot
   * keep them, changing nothing; `not_found` and `bad_input` for what it does not have.
   */
  resize(ensemble: string, request: ResizeRequest, signal: AbortSignal): Promise<Operation>;
  /** Holds appliances where they are, with all that is reserved for them; no names: all. Throws `not_found`. */
  suspend(ensemble: string, appliances: readonly string[], signal: AbortSignal): Promise<Operation>;
  /** Saves virtual machines and frees what they have of their hosts. Throws `bad_input` for tasks, `conflict` for what does not run. */
  suspendToDisk(ensemble: string, appliances: readonly string[], signal: AbortSignal): Promise<Operation>;
  /**
   * Lets them go on where they were; those on disk there if they fit, else on another host. Throws `unsatisfiable` when
   * none has room: they stay on disk.
   */
  resume(ensemble: string, appliances: readonly string[], signal: AbortSignal): Promise<Operation>;
  /** Those on disk, on this host. Throws `conflict` for what is not. */
  resumeOn(
    ensemble: string,
    host: string,
    appliances: readonly string[],
    signal: AbortSignal,
  ): Promise<Operation>;
  /**
   * Moves appliances to other hosts while they run; without a host, to the best one. Throws `unsatisfiable` when none
   * has room, `unsupported` for what cannot be moved running, changing nothing.
   */
  migrate(ensemble: string, request: MigrateRequest, signal: AbortSignal): Promise<Operation>;
  plan(ensemble: Ensemble, signal: AbortSignal): Promise<PlanResult>;
  explain(ensemble: string, signal: AbortSignal): Promise<Explanation>;
  /** The declared ensemble, as accepted. Throws `not_found`. */
  declared(ensemble: string, signal: AbortSignal): Promise<Ensemble>;
  ensembles(signal: AbortSignal): Promise<EnsembleStatus[]>;
  ensemble(name: string, signal: AbortSignal): Promise<EnsembleStatus>;
  hosts(signal: AbortSignal): Promise<HostStatus[]>;
  /** Nothing new is placed on it. Throws `not_found`. */
  cordon(host: string, signal: AbortSignal): Promise<HostStatus>;
  /** It takes appliances again; ends a drain as cancelled. Throws `not_found`. */
  uncordon(host: string, signal: AbortSignal): Promise<HostStatus>;
  /** Cordons it and moves all it runs to other hosts. Cancelled: what has moved stays there, and it is open again. */
  drain(host: string, signal: AbortSignal): Promise<Operation>;
  /**
   * Gives up a host that will never return: all it ran is taken for gone and runs elsewhere, also what was to stay in
   * place. Throws `conflict` unless it is lost and, as long as it is not said that it is gone, while anything may still
   * run there.
   */
  forget(host: string, request: ForgetRequest, signal: AbortSignal): Promise<void>;
  /** All that is desired and known, as one document that a simulation can start from. */
  snapshot(signal: AbortSignal): Promise<CloudSnapshot>;
  /** The catalogue, by name. */
  images(signal: AbortSignal): Promise<ImageStatus[]>;
  /** Throws `not_found`. */
  image(name: string, signal: AbortSignal): Promise<ImageStatus>;
  /** Durable when it resolves; its content is brought in afterwards. What had this name serves until then. */
  registerImage(image: ImageSpec, signal: AbortSignal): Promise<ImageStatus>;
  /** Throws `conflict` while an ensemble is made from it. */
  removeImage(name: string, signal: AbortSignal): Promise<void>;
  /** Part of content that is brought by its owner; parts come in order. */
  uploadPart(part: UploadBody, signal: AbortSignal): Promise<UploadResult>;
  discoverImages(
    at: { readonly url: string; readonly credentials?: string | undefined },
    signal: AbortSignal,
  ): Promise<readonly ImageSpec[]>;
  /** Has every host remove content that nobody needs. */
  collectContent(signal: AbortSignal): Promise<CollectResult>;
  operations(signal: AbortSignal): Promise<Operation[]>;
  operation(id: OperationId, signal: AbortSignal): Promise<Operation>;
  /** Stops waiting for it; an `up` not yet converged goes back to what was desired before. Throws `conflict` when it has ended. */
  cancel(id: OperationId, signal: AbortSignal): Promise<Operation>;
  /** Events after the cursor as they come, first those kept. Throws `gone` when the cursor is older than what is kept. */
  events(afterCursor: number, signal: AbortSignal): AsyncIterable<Event>;
  /** The newest cursor, for readers who want only what comes. */
  lastCursor(): number;
  /** Runs a program inside an appliance; output comes through `onOutput`; resolves with the exit code. */
  exec(
    ensemble: string,
    appliance: string,
    request: { command: readonly string[]; env: Readonly<Record<string, string>>; stdinBase64?: string },
    onOutput: (stream: "stdout" | "stderr", chunk: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<number>;
  /** The console of a virtual machine, until the signal aborts or the machine ends. `onOpen` tells what it is typed into by. */
  console(
    ensemble: string,
    appliance: string,
    listener: { onOpen: (session: string) => void; onOutput: (chunk: Uint8Array) => void },
    signal: AbortSignal,
  ): Promise<void>;
  /** Nobody tells whether such a session is open. */
  typeIntoConsole(session: string, chunk: Uint8Array): void;
  /** Takes checkpoints of virtual machines now; its state is in `checkpoints`. Throws `not_found` and `bad_input`. */
  takeCheckpoints(
    ensemble: string,
    wish: CheckpointWish,
    signal: AbortSignal,
  ): Promise<CheckpointRequestStatus>;
  /** Complete ones, and what was requested. Throws `not_found`. */
  checkpoints(ensemble: string, signal: AbortSignal): Promise<Checkpoints>;
  /** Sets a machine back to a complete checkpoint, the newest unless one is named. Throws `not_found`. */
  restore(
    ensemble: string,
    from: { readonly appliance: string; readonly checkpoint?: string },
    signal: AbortSignal,
  ): Promise<Operation>;
  readonly jobs: JobService;
  /** The end of an appliance's output. */
  log(ensemble: string, appliance: string, maxBytes: number, signal: AbortSignal): Promise<string>;
}
