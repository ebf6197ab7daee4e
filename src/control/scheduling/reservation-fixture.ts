import fc from "fast-check";
import { micros } from "#base/units.ts";
import type {
  MachineReservation,
  ProcessorCapacity,
  Reservation,
  SchedulingPolicy,
  TeamReservation,
} from "./reservation.ts";

/** For tests: reservations from milliseconds, and any of them for properties. */

export const reservation = (executionMs: number, periodMs: number): Reservation => ({
  executionUs: micros(executionMs * 1000),
  periodUs: micros(periodMs * 1000),
});

export const machine = (
  id: string,
  executionMs: number,
  periodMs: number,
  teams: readonly TeamReservation[] = [],
): MachineReservation => ({ id, reservation: reservation(executionMs, periodMs), teams });

export const team = (
  name: string,
  executionMs?: number,
  periodMs?: number,
  teams: readonly TeamReservation[] = [],
): TeamReservation => ({
  name,
  policy: "round-robin",
  teams,
  ...(executionMs === undefined || periodMs === undefined
    ? {}
    : { reservation: reservation(executionMs, periodMs) }),
});

const anyShare = fc.integer({ min: 1, max: 12 });
const anyPeriodMs = fc.constantFrom(4, 8, 10, 12, 15, 20, 24, 30, 40, 60, 80, 100);

/** A machine, with teams that often fit: a team has part of what it is in, over one to three of its periods. */
const anyMachine = fc
  .record({
    periodMs: anyPeriodMs,
    share: anyShare,
    parts: fc.array(fc.record({ share: anyShare, periods: fc.integer({ min: 1, max: 3 }) }), {
      maxLength: 3,
    }),
  })
  .map(({ periodMs, share, parts }) => {
    const executionMs = Math.max(1, Math.round((periodMs * share) / 24));
    const teams = parts.map((part, index) =>
      team(
        `t${index}`,
        Math.max(1, Math.floor((executionMs * part.periods * part.share) / 30)),
        periodMs * part.periods,
      ),
    );
    return { executionMs, periodMs, teams };
  });

export const anyMachines: fc.Arbitrary<readonly MachineReservation[]> = fc
  .array(anyMachine, { minLength: 1, maxLength: 7 })
  .map((drawn) =>
    drawn.map(({ executionMs, periodMs, teams }, index) =>
      machine(`m${index}`, executionMs, periodMs, teams),
    ),
  );

export const anyProcessors: fc.Arbitrary<readonly ProcessorCapacity[]> = fc.constantFrom(
  [{ milli: 1000 }],
  [{ milli: 500 }],
  [{ milli: 1000 }, { milli: 1000 }, { milli: 500 }],
);

export const anyPolicy: fc.Arbitrary<SchedulingPolicy> = fc.constantFrom(
  "rate-monotonic",
  "earliest-deadline-first",
);
