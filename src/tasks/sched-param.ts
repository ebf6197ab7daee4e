import { ConsortError } from "#base/errors.ts";
import { micros } from "#base/units.ts";
import type { Micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";

/** CPU time in every period: so much of it, or this share of the period (0.4 is 40% of a processor). */
export type SchedParam =
  | { readonly periodUs: Micros; readonly executionUs: Micros }
  | { readonly periodUs: Micros; readonly share: number };

/** 5.68 → 5680 µs. */
export const milliseconds = (value: number): Micros => micros(Math.round(value * 1000));

/** A share is rounded up to whole microseconds. Throws `bad_input`. */
export function reservationFrom(param: SchedParam): Reservation {
  const { periodUs } = param;
  if (!("share" in param)) return { periodUs, executionUs: param.executionUs };
  if (!(param.share > 0))
    throw new ConsortError("bad_input", `Cannot reserve a share of ${param.share}: it must be more than 0`);
  return { periodUs, executionUs: micros(Math.ceil(periodUs * param.share)) };
}
