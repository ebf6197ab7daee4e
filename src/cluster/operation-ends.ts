import type { ErrorCode } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Millis } from "#base/units.ts";
import { readjusted } from "#cluster/adjusting.ts";
import { leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import { withoutAttempts } from "#cluster/parking.ts";
import type { Progress } from "#cluster/progress.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { Operation } from "#protocol/http/operation.ts";

export type EnsembleChange = Exclude<Operation["kind"], "drain">;

/** How far a running operation is. */
export type Standing = Pick<Operation, "phase" | "progress" | "message"> & {
  /** When it was first looked at, by the monotonic clock. */
  readonly sinceMs: Millis;
};

export type Ending = {
  readonly state: "done" | "failed" | "cancelled";
  readonly message: string;
  /** Of a failure. */
  readonly code?: ErrorCode;
};

export function standingOf(operation: Operation, progress: Progress, sinceMs: Millis): Standing {
  const { done, total, message } = progress;
  return { phase: phaseOf(operation, progress), progress: { done, total }, message, sinceMs };
}

/** What is being waited for: appliances, or what joins those that run. */
function phaseOf({ kind }: Operation, { done, total }: Progress): Operation["phase"] {
  if (kind === "down") return "stopping";
  if (kind === "drain" || kind === "migrate") return "moving";
  if (kind === "resize" || kind === "suspend" || kind === "resume") return "adapting";
  return done < total ? "starting" : "connecting";
}

/** How an operation that has run for so long ends now, if it does. */
export function endingOf({ kind }: Operation, progress: Progress, ranMs: Millis): Ending | undefined {
  const { complete, failed, message } = progress;
  if (complete) return { state: "done", message };
  if (failed) return { state: "failed", code: kind === "drain" ? "unsatisfiable" : "driver_failed", message };
  if (ranMs <= limits.operationMsMax) return undefined;
  return { state: "failed", code: "timeout", message: `not converged in time: ${message}` };
}

/** As it is kept once it is over. */
export function endedWith(
  operation: Operation,
  { state, message, code }: Ending,
  standing: Standing | undefined,
  endedAtMs: Millis,
): Operation {
  const { total } = operation.progress;
  return {
    ...operation,
    state,
    phase: standing?.phase ?? operation.phase,
    message,
    progress: state === "done" ? { done: total, total } : (standing?.progress ?? operation.progress),
    endedAtMs,
    ...(code === undefined ? {} : { error: { code, message } }),
  };
}

/** A change by the user that can be taken back before it has its effect. */
export const canGoBack = (kind: EnsembleChange): boolean =>
  kind !== "down" && kind !== "recover" && kind !== "migrate" && kind !== "restore";

/**
 * As it was before, except for where its appliances may still be. What was only adjusted goes back alone: strategies may
 * have adjusted others meanwhile.
 */
export function goneBack(
  current: EnsembleRecord,
  undo: EnsembleRecord,
  adjusted: readonly ApplianceId[] | undefined,
): EnsembleRecord {
  if (adjusted !== undefined) {
    const names = adjusted.map((id) => id.slice(current.ensemble.name.length + 1));
    const back = { ...current, ensemble: readjusted(current.ensemble, undo.ensemble, names) };
    return withoutAttempts(back, adjusted);
  }
  const leaving = leavingAfter(current, undo.placements);
  return { ...undo, leaving, unleased: unleasedAfter(current, { ...undo, leaving }) };
}
