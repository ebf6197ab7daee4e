import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { RestartPolicy } from "#model/ensemble.ts";

/** A run this long was a success: the next pause is the shortest again. */
export const steadyRunMs = millis(60_000);

export type NextRestart =
  | { readonly restart: true; readonly delayMs: Millis }
  | { readonly restart: false; readonly state: "exited" | "failed" };

/**
 * What follows when a command ended by itself. `lastDelayMs` is the pause before the run that ended, undefined if
 * it was started by hand. Pauses double from the policy's shortest to its longest.
 */
export function nextRestart(
  policy: RestartPolicy,
  end: { readonly exitCode: number; readonly ranMs: Millis },
  lastDelayMs: Millis | undefined,
): NextRestart {
  const failed = end.exitCode !== 0;
  if (policy.when === "never" || (policy.when === "on-failure" && !failed)) {
    return { restart: false, state: failed ? "failed" : "exited" };
  }
  if (lastDelayMs === undefined || end.ranMs >= steadyRunMs) {
    return { restart: true, delayMs: policy.backoffMsMin };
  }
  return { restart: true, delayMs: millis(Math.min(Math.max(lastDelayMs * 2, 1), policy.backoffMsMax)) };
}
