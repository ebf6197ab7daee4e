import type { Micros } from "#base/units.ts";
import type { TableEffect } from "#control/scheduling/book.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import type { Reservation, SchedulingPolicy } from "#control/scheduling/reservation.ts";
import type { Enforcement, TeamPolicy } from "#model/ensemble.ts";

export type EnforcementKind = Exclude<Enforcement, "auto">;

/**
 * What is stopped and continued as one. cgroup: all in the group of this path and below it (of the hierarchies of
 * drivers/system/cgroups), of which `threads` is in those for single threads only (Cgroups.openForThreads); process: one
 * process with its threads, which must still be the one that began at `startTime` (of /proc/PID/stat); thread: a single
 * one where no group can hold it apart, which only the deadline back end takes, and which cannot be suspended.
 */
export type JobGroup =
  | { readonly kind: "cgroup"; readonly path: string; readonly threads?: true }
  | { readonly kind: "process"; readonly pid: number; readonly startTime: string }
  | { readonly kind: "thread"; readonly tid: number; readonly startTime: string };

export type EnforcedTeam = {
  readonly name: string;
  readonly reservation?: Reservation;
  readonly policy: TeamPolicy;
  readonly jobs: readonly JobGroup[];
  readonly teams: readonly EnforcedTeam[];
  /** Holds its part of the reservation but does not run. */
  readonly suspended?: boolean;
  /** The group all its jobs are below, itself below its machine's: where a quota of its own goes. */
  readonly cgroup?: string;
};

export type EnforcedMachine = {
  readonly id: string;
  readonly reservation: Reservation;
  /** Never runs on more than one processor's worth at a time (dispatch table). Its own jobs are a team without a name. */
  readonly policy: TeamPolicy;
  readonly jobs: readonly JobGroup[];
  readonly teams: readonly EnforcedTeam[];
  /** Holds its reservation but does not run. */
  readonly suspended: boolean;
  /** Where the limits of the bandwidth back end go; absent: it has none, and only groups of its jobs are limited. */
  readonly cgroup?: string;
};

/** Of one machine since it was first enforced. Absent is what the back end cannot tell. */
export type EnforcementCounters = {
  readonly id: string;
  /** Slots it was dispatched in, or periods begun. */
  readonly dispatches?: number;
  /** Slots that began later than a tenth of the quantum, or periods in which the kernel gave less than was reserved and wanted. */
  readonly misses?: number;
  readonly latestUs?: Micros;
};

/**
 * One way to keep reservations. It is told what has been admitted and decides nothing. Calls are synchronous and take
 * microseconds; each changes all it is asked for, or throws `driver_failed` having changed nothing.
 */
export interface CpuEnforcer {
  readonly kind: EnforcementKind;
  /**
   * Machines this back end is to keep, whole: others are let go, and run on without limits. What an earlier owner on
   * this host left behind is taken over by the first call. `table` is for the dispatch table alone.
   */
  apply(machines: readonly EnforcedMachine[], table: DispatchTable): void;
  /** The quick way to change only how much some of them get. */
  adapt(changes: ReadonlyMap<string, Reservation>, effect: TableEffect, table: DispatchTable): void;
  counters(): readonly EnforcementCounters[];
  /** Resolves when what was asked for last is in effect; absent: it is at once. */
  ready?(): Promise<void>;
  /** Nothing is left stopped. */
  close(): Promise<void>;
}

export type MachineRequest = Omit<EnforcedMachine, "suspended"> & { readonly enforcement: Enforcement };

/**
 * All reservations of one host: admission over all back ends together, and the choice among them (scheduler
 * operations of reference vtm.md, Framework). Throws `unsatisfiable`, with the reason and the largest feasible
 * reservation, or `bad_input` for one that nothing could keep, having changed nothing.
 */
export interface CpuScheduler {
  /**
   * After a start of its owner, once and before anything else: all machines that are to stay. What an earlier owner
   * left running under a reservation goes on undisturbed; what is not named is let go.
   */
  recover(machines: readonly (MachineRequest & { readonly suspended: boolean })[]): void;
  /** Throws as `reserve` would. */
  admit(machine: MachineRequest): void;
  /** New, or in place of what was reserved under this id (other jobs, teams, enforcement). Idempotent. */
  reserve(machine: MachineRequest): void;
  expel(id: string): void;
  /** All or none; in a running table it takes effect at the next slot. Throws `not_found` for a machine that is not here. */
  adapt(changes: ReadonlyMap<string, Reservation>): void;
  suspend(id: string): void;
  resume(id: string): void;
  /** How this machine is enforced now. */
  enforcementOf(id: string): EnforcementKind | undefined;
  counters(): readonly EnforcementCounters[];
  /** Of all machines kept by one, also suspended ones. */
  readonly table: DispatchTable;
  /** First level of scheduling in the dispatch table. Throws `unsatisfiable` when not all is schedulable under it. */
  setPolicy(policy: SchedulingPolicy): void;
  /** Resolves when what was asked for last is in effect: at once, but for a dispatcher that has to start first. */
  ready(): Promise<void>;
  close(): Promise<void>;
}
