import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

/** What QEMU tells of a migration that is under way. */
export type SendProgress = {
  /** The memory was gone over so many times. */
  readonly pass: number;
  readonly remainingBytes: number;
  readonly totalBytes: number;
  readonly transferredBytes: number;
  /** Since it began. */
  readonly elapsedMs: Millis;
};

export type ConvergenceSettings = {
  /** The machine may stand still for so long at first, and at most. */
  readonly downtimeMs: Millis;
  readonly downtimeMsMax: Millis;
  /** So many passes, or so long after the first of them, before more is allowed. */
  readonly passesMax: number;
  readonly passingMsMax: Millis;
};

export const convergence: ConvergenceSettings = {
  downtimeMs: millis(10),
  downtimeMsMax: millis(300),
  passesMax: 5,
  passingMsMax: millis(2_000),
};

/** downtime: allow more; postcopy: go on there and bring the rest after; stop: stand still until all is there. */
export type Relief =
  | { readonly kind: "downtime"; readonly downtimeMs: Millis }
  | { readonly kind: "postcopy" }
  | { readonly kind: "stop" };

/**
 * What helps a migration whose guest writes faster than its memory is sent. QEMU slows its processors down by itself
 * all the while; each step is taken once, in this order, so every migration ends. `firstPassMs` is how long the first
 * pass took, which depends on the network alone.
 *
 *     passes, or time, used up ──► twice the downtime, up to the most ──► the same again ──► postcopy, or stop
 */
export function relief(
  progress: SendProgress,
  allowedMs: Millis,
  canPostcopy: boolean,
  firstPassMs: Millis = millis(0),
  settings: ConvergenceSettings = convergence,
): Relief | undefined {
  // Each step gets as many passes, and as much time, as the first.
  const step = 1 + Math.max(0, Math.round(Math.log2(allowedMs / settings.downtimeMs)));
  // Whatever is done to a guest in the first pass, all of its memory has to be sent once.
  const hasPassedMs = progress.pass <= 1 ? 0 : progress.elapsedMs - firstPassMs;
  const isUsedUp = progress.pass > settings.passesMax * step || hasPassedMs > settings.passingMsMax * step;
  if (!isUsedUp) return undefined;
  const next = Math.min(allowedMs * 2, settings.downtimeMsMax);
  if (next > allowedMs) return { kind: "downtime", downtimeMs: millis(next) };
  return canPostcopy ? { kind: "postcopy" } : { kind: "stop" };
}

/** 0 to 1: how much of what has to be sent was sent. */
export function shareSent({ remainingBytes, totalBytes, pass }: SendProgress): number {
  if (totalBytes <= 0 || pass < 1) return 0;
  return Math.min(1, Math.max(0, 1 - remainingBytes / totalBytes));
}
