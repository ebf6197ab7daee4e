import { ConsortError } from "#base/errors.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import type { Reservation, SchedulingPolicy } from "#control/scheduling/reservation.ts";
import type { CpuScheduler, EnforcementKind } from "#drivers/scheduling/port.ts";
import { schedulingPolicies } from "#model/topology.ts";
import { machineRequest } from "./machine-request.ts";
import type { Scheduler } from "./manager.ts";
import { mustBeOneOf } from "./one-of.ts";
import { mustHold } from "./process-job.ts";
import { reservationFrom } from "./sched-param.ts";
import type { SchedParam } from "./sched-param.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/**
 * The first level of scheduling: which machine runs on which processor, rate monotonic or earliest deadline first. What
 * it reserves is kept by the scheduler of this host, in one of the ways it has for that.
 */
export class VtmScheduler implements Scheduler<
  VirtualTaskMachine,
  SchedParam,
  SchedulingPolicy,
  DispatchTable
> {
  readonly #cpu: CpuScheduler;
  readonly #machines = new Set<VirtualTaskMachine>();
  readonly #reserved = new Map<VirtualTaskMachine, Reservation>();
  readonly #suspended = new Set<VirtualTaskMachine>();

  constructor(cpu: CpuScheduler) {
    this.#cpu = cpu;
  }

  admit(machine: VirtualTaskMachine, param: SchedParam): void {
    this.#own(machine);
    this.#cpu.admit(machineRequest(machine, reservationFrom(param)));
  }

  reserve(machine: VirtualTaskMachine, param: SchedParam): void {
    this.#own(machine);
    const reservation = reservationFrom(param);
    this.#cpu.reserve(machineRequest(machine, reservation));
    this.#reserved.set(machine, reservation);
  }

  /** Its processes run on without a reservation. */
  expel(machine: VirtualTaskMachine): void {
    this.#own(machine);
    if (!this.#reserved.delete(machine)) return;
    this.#suspended.delete(machine);
    this.#cpu.expel(machine.name);
  }

  /** Takes microseconds; in a running dispatch table it takes effect at the next slot. */
  adapt(changes: ReadonlyMap<VirtualTaskMachine, SchedParam>): void {
    const reservations = new Map<string, Reservation>();
    for (const [machine, param] of changes) {
      if (!this.#reserved.has(machine))
        throw new ConsortError(
          "not_found",
          `Cannot adapt ${machine.name}: nothing is reserved for it, reserve first`,
        );
      reservations.set(machine.name, reservationFrom(param));
    }
    this.#cpu.adapt(reservations);
    for (const machine of changes.keys()) {
      const reservation = reservations.get(machine.name);
      if (reservation !== undefined) this.#reserved.set(machine, reservation);
    }
  }

  getResources(): readonly VirtualTaskMachine[] {
    return [...this.#machines];
  }

  addResource(machine: VirtualTaskMachine): void {
    machine.mustBeThere(`add machine ${machine.name}`);
    if (machine.scheduler !== this)
      throw new ConsortError("conflict", `Cannot add machine ${machine.name}: it is of another host`);
    if (this.getResources().some((other) => other !== machine && other.name === machine.name))
      throw new ConsortError("conflict", `Cannot add machine ${machine.name}: there is one of this name`);
    this.#machines.add(machine);
  }

  removeResource(machine: VirtualTaskMachine): void {
    this.expel(machine);
    this.#machines.delete(machine);
  }

  getPolicy(): SchedulingPolicy {
    return this.#cpu.table.policy;
  }

  setPolicy(policy: SchedulingPolicy): void {
    mustBeOneOf("policy", policy, schedulingPolicies);
    this.#cpu.setPolicy(policy);
  }

  suspend(machine: VirtualTaskMachine): void {
    this.#withReservation(machine, "suspend");
    mustHold(machine.team.allProcesses(), machine.name);
    this.#cpu.suspend(machine.name);
    this.#suspended.add(machine);
  }

  resume(machine: VirtualTaskMachine): void {
    this.#withReservation(machine, "resume");
    this.#cpu.resume(machine.name);
    this.#suspended.delete(machine);
  }

  /** The dispatch table of this host: who runs in which slot of every processor. Machines kept otherwise are not in it. */
  schedule(): DispatchTable {
    return this.#cpu.table;
  }

  reservationOf(machine: VirtualTaskMachine): Reservation | undefined {
    return this.#reserved.get(machine);
  }

  isSuspended(machine: VirtualTaskMachine): boolean {
    return this.#suspended.has(machine);
  }

  enforcementOf(machine: VirtualTaskMachine): EnforcementKind | undefined {
    return this.#cpu.enforcementOf(machine.name);
  }

  /** After something in it changed. Throws when it cannot be kept so. */
  renew(machine: VirtualTaskMachine): void {
    const reservation = this.#reserved.get(machine);
    if (reservation !== undefined) this.#cpu.reserve(machineRequest(machine, reservation));
  }

  admitAsItIs(machine: VirtualTaskMachine): void {
    const reservation = this.#reserved.get(machine);
    if (reservation !== undefined) this.#cpu.admit(machineRequest(machine, reservation));
  }

  #own(machine: VirtualTaskMachine): void {
    if (this.#machines.has(machine)) return;
    machine.mustBeThere(`schedule machine ${machine.name}`);
    throw new ConsortError(
      "not_found",
      `Cannot schedule machine ${machine.name}: it is not of this scheduler`,
    );
  }

  #withReservation(machine: VirtualTaskMachine, action: "suspend" | "resume"): void {
    this.#own(machine);
    if (this.#reserved.has(machine)) return;
    throw new ConsortError(
      "conflict",
      `Cannot ${action} ${machine.name}: nothing is reserved for it, so nothing schedules it`,
    );
  }
}
