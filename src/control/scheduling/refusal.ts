import { formatDuration, millis } from "#base/units.ts";
import type { Micros } from "#base/units.ts";

/**
 * bad-reservation: no scheduler could keep it; over-capacity: more is reserved than there is; unschedulable: there is
 * enough, but not in time for every period; teams: parts of it are more than the whole; table-too-large: periods that
 * repeat together only after too many slots; not-here: no such machine.
 */
export type RefusalCode =
  | "bad-reservation"
  | "over-capacity"
  | "unschedulable"
  | "teams"
  | "table-too-large"
  | "not-here";

/** Why reservations cannot be kept. Nothing has been changed. */
export type Refusal = {
  readonly code: RefusalCode;
  readonly machine: string;
  /** "<what is>, <what was wanted>". */
  readonly reason: string;
  /** What would be admitted instead. */
  readonly remedy?: string;
  /** The most that could be reserved for this machine in its period, beside the others; 0: nothing. */
  readonly largestFeasibleUs?: Micros;
};

/** The part of a message after "Cannot <action>: ". */
export function refusalText(refusal: Refusal): string {
  const largest = refusal.largestFeasibleUs;
  const most = largest === undefined ? [] : [`the largest feasible reservation is ${durationText(largest)}`];
  const remedy = refusal.remedy === undefined ? [] : [refusal.remedy];
  return [refusal.reason, ...most, ...remedy].join("; ");
}

/** 5680 → "5.68ms"; 40 → "40us". */
export const durationText = (value: number): string =>
  value > 0 && value < 100 ? `${value}us` : formatDuration(millis(value / 1000));
