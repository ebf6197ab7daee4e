import type { Micros } from "#base/units.ts";
import type { TeamPolicy } from "#model/ensemble.ts";

/** `executionUs` of CPU time in every `periodUs` (reference vtm.md, CPU). */
export type Reservation = { readonly periodUs: Micros; readonly executionUs: Micros };

/** A team: a part of a machine's reservation for a part of its jobs. Without one, it gets what its siblings leave. */
export type TeamReservation = {
  readonly name: string;
  readonly reservation?: Reservation;
  readonly policy: TeamPolicy;
  readonly teams: readonly TeamReservation[];
};

/** A machine on at most one processor at a time; the teams directly in it are the parts of its reservation. */
export type MachineReservation = {
  readonly id: string;
  readonly reservation: Reservation;
  readonly teams: readonly TeamReservation[];
};

/** Of the first level of scheduling. */
export type { SchedulingPolicy } from "#model/topology.ts";

/** Parts of 1000 of a processor that may be reserved on it. */
export type ProcessorCapacity = { readonly milli: number };
