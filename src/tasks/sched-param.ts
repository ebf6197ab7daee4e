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
  const { periodUs } = param;
  if (!("share" in param)) return { periodUs, executionUs: param.executionUs };
  if (!(param.share > 0 && Number.isFinite(param.share)))
    throw new ConsortError("bad_input", `Cannot reserve a share of ${param.share}: it must be more than 0`);
  return { periodUs, executionUs: micros(Math.ceil(periodUs * param.share)) };
}
