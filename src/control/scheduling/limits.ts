import { micros } from "#base/units.ts";

/** Named limits of reservations of CPU time; docs/reference/limits.md explains them. */
export const schedulingLimits = {
  /** Slots in the dispatch table of one processor. */
  tableSlotsMax: 65_536,
  /** A slot is chosen no shorter: below, stopping and continuing takes a noticeable part of it. */
  quantumUsMin: micros(1000),
  /** A slot is chosen no longer: a machine waits up to one for what was changed. */
  quantumUsMax: micros(10_000),
  /** The longest period that can be reserved. */
  periodUsMax: micros(60_000_000),
  /** Steps of the search for processors, once simpler ways failed. */
  placementStepsMax: 500,
  /** Slots looked at above the largest reservation found by halving, where there are several processors. */
  largestStepsMax: 16,
  /**
   * Of each processor, in thousandths, for machines kept by deadlines. The kernel's deadline scheduler keeps a tenth for
   * ordinary threads; what is left is for who ends turns in time, and what was too much in one period is added to the next.
   */
  deadlineMilliMax: 850,
  /** Levels of teams within teams. */
  teamDepthMax: 8,
} as const;
