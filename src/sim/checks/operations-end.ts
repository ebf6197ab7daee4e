import type { Operation } from "#protocol/http/operation.ts";
import type { Breach } from "#sim/checks/breach.ts";

/** An operation as the store has it, and since when (virtual ms) it has been there. */
export type WatchedOperation = {
  readonly operation: Pick<Operation, "id" | "kind" | "ensemble" | "host" | "state" | "message">;
  readonly sinceMs: number;
};

/** An operation that goes on although nothing has failed for longer than operations may take. */
export function overdueOperation(
  watched: Iterable<WatchedOperation>,
  moment: { readonly nowMs: number; readonly calmSinceMs: number; readonly limitMs: number },
): Breach | undefined {
  for (const { operation, sinceMs } of watched) {
    if (operation.state !== "running") continue;
    const calmMs = moment.nowMs - Math.max(sinceMs, moment.calmSinceMs);
    if (calmMs <= moment.limitMs) continue;
    return {
      invariant: "operations-end",
      message: `${nameOf(operation)} still goes on after ${Math.round(calmMs)} ms without a fault: ${operation.message || operation.kind}`,
    };
  }
  return undefined;
}

/** An operation that came to life again, or vanished before it had ended. */
export function operationUndone(
  before: WatchedOperation["operation"],
  after: WatchedOperation["operation"] | undefined,
): Breach | undefined {
  if (before.state === "running" && after === undefined)
    return { invariant: "operations-end", message: `${nameOf(before)} vanished before it ended` };
  if (before.state !== "running" && after?.state === "running")
    return {
      invariant: "operations-end",
      message: `${nameOf(before)} was ${before.state} and goes on again`,
    };
  return undefined;
}

const nameOf = ({ id, kind, ensemble, host }: WatchedOperation["operation"]): string =>
  `operation ${id} (${kind} ${ensemble ?? host ?? ""})`;
