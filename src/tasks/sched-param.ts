import { ConsortError } from "#base/errors.ts";
import { micros } from "#base/units.ts";
import type { Micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";

/** CPU time in every period: so much of it, or this share of the period (0.4 is 40% of a processor). */
export type SchedParam =
  | { readonly periodUs: Micros; readonly executionUs: Micros }
  | { readonly periodUs: Micros; readonly share: number };

/** 5.68 → 5680 µs. Throws `bad_input` for less than a microsecond. */
export function milliseconds(value: number): Micros {
  const rounded = Math.round(value * 1000);
  if (rounded >= 1 && Number.isFinite(rounded)) return micros(rounded);
  throw new ConsortError("bad_input", `Cannot use ${value} ms: it must be 0.001 or more`);
}

/** A share is rounded up to whole microseconds. Throws `bad_input`. */
export function reservationFrom(param: SchedParam): Reservation {
  const { periodUs, executionUs, share } = wordsOf(param);
  const wrong = (word: string, value: unknown, wanted: string): ConsortError =>
    new ConsortError("bad_input", `Cannot reserve CPU time: ${word} is ${String(value)}, wanted ${wanted}`);
  if (typeof periodUs !== "number" || !Number.isInteger(periodUs))
    throw wrong("periodUs", periodUs, "whole microseconds, as milliseconds(40) gives them");
  if (share === undefined) {
    if (typeof executionUs !== "number" || !Number.isInteger(executionUs))
      throw wrong("executionUs", executionUs, "whole microseconds, as milliseconds(8) gives them");
    return { periodUs: micros(periodUs), executionUs: micros(executionUs) };
  }
  if (typeof share !== "number" || !(share > 0 && Number.isFinite(share)))
    throw wrong("share", share, "more than 0, as 0.4 for 40% of a processor");
  return { periodUs: micros(periodUs), executionUs: micros(Math.ceil(periodUs * share)) };
}

/** Whatever a program gave that no compiler has checked. */
const wordsOf = (param: unknown): Partial<Record<"periodUs" | "executionUs" | "share", unknown>> =>
  typeof param === "object" && param !== null ? param : {};
