import type { Reservation } from "#control/scheduling/reservation.ts";
import type { SchedParam } from "./sched-param.ts";

/**
 * Abstract resources, in levels, each made from the one below:
 *
 *   machine    virtual task machine
 *   team       teams of processes and threads (and of teams)
 *   virtual    virtual processors, processes, threads, memory buffers, connections
 *   physical   processors, memory, network interfaces
 *
 * `higher()` and `lower()` walk up and down.
 */
export type Level = "physical" | "virtual" | "team" | "machine";

export type ResourceKind =
  | "processor"
  | "memory"
  | "network-interface"
  | "virtual-processor"
  | "process"
  | "thread"
  | "memory-buffer"
  | "connection"
  | "team"
  | "virtual-task-machine";

export interface AbstractResource {
  readonly kind: ResourceKind;
  readonly level: Level;
  readonly name: string;
  /** What is made from it. */
  higher(): readonly AbstractResource[];
  /** What it is made from. */
  lower(): readonly AbstractResource[];
}

/** A schedulable resource: has a part of the processors of what it is in, or shares what is left there. */
export interface Job extends AbstractResource {
  /** Undefined: nothing is reserved for it. */
  getSchedParam(): Reservation | undefined;
  /** Admission test, then the reservation. Throws `unsatisfiable`, having changed nothing. */
  setSchedParam(param: SchedParam): void;
}
