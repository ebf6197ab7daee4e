import { digest } from "#base/digest.ts";
import { messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";
import { cpuLimits } from "#drivers/appliance/task/cpu-limits.ts";
import { machineRequest } from "#drivers/appliance/task/job-groups.ts";
import type { CpuScheduler, MachineRequest } from "#drivers/scheduling/port.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { SchedulingReport } from "#protocol/host-report.ts";

/** What is used of the host's scheduler here. */
export type AppliancesScheduler = Pick<
  CpuScheduler,
  "recover" | "reserve" | "expel" | "adapt" | "suspend" | "resume" | "enforcementOf" | "counters"
>;

/** One appliance as it is to be, and as it was: its plans, and its slot's group. */
export type Reserving = {
  readonly plan: AppliancePlan;
  readonly before?: AppliancePlan;
  readonly cgroup: Cgroup;
};

const utilisation = ({ reservation }: MachineRequest): number =>
  reservation.executionUs / reservation.periodUs;
/** What tells two requests apart apart from how much they reserve. */
const structureOf = (request: MachineRequest): string => digest({ ...request, reservation: undefined });

/**
 * How the appliances of one host get their CPU time: reservations from the scheduler, which may refuse them; shares, and
 * what nothing is promised to, by weight and quota of their groups.
 */
export class Reservations {
  readonly #scheduler: AppliancesScheduler;
  readonly #log: Log;
  readonly #kept = new Map<ApplianceId, MachineRequest>();

  constructor(scheduler: AppliancesScheduler, log: Log) {
    this.#scheduler = scheduler;
    this.#log = log;
  }

  /** What an earlier manager's appliances have reserved. Nothing is lost if not all of it can be kept any more. */
  recover(present: readonly (Reserving & { readonly suspended: boolean })[]): void {
    const reserved = present.flatMap(({ plan, cgroup, suspended }) => {
      const request = machineRequest(plan, cgroup.path);
      return request === undefined ? [] : [{ plan, cgroup, suspended, request }];
    });
    try {
      this.#scheduler.recover(reserved.map(({ request, suspended }) => ({ ...request, suspended })));
      for (const { plan, request } of reserved) this.#kept.set(plan.id, request);
    } catch (cause) {
      this.#log.warn(`Cannot keep all reservations: ${messageOf(cause)}`, { cause });
      this.#scheduler.recover([]);
      for (const one of reserved) this.#recoverOne(one);
    }
    for (const { plan, cgroup } of present) if (plan.cpu?.kind !== "reservation") limit(cgroup, plan.cpu);
  }

  /** Refused, it is limited as it would be by the kernel alone, and asked for again, as it shows that it has nothing. */
  #recoverOne(one: Reserving & { readonly suspended: boolean }): void {
    try {
      this.change([one]);
      if (one.suspended) this.suspend(one.plan.id);
    } catch (cause) {
      limit(one.cgroup, one.plan.cpu);
      this.#log.warn(`Cannot keep what ${one.plan.id} has reserved: ${messageOf(cause)}`, { cause });
    }
  }

  /** All at one moment, or, where the scheduler refuses, none. */
  change(wanted: readonly Reserving[]): void {
    const undo: (() => void)[] = [];
    try {
      this.#change(wanted, undo);
    } catch (cause) {
      for (const step of undo.toReversed()) this.#attempt(step);
      throw cause;
    }
    for (const { plan, cgroup } of wanted) if (plan.cpu?.kind !== "reservation") limit(cgroup, plan.cpu);
  }

  /** First what gives room, then what changes only in size, then the rest: refused only if it does not fit at the end. */
  #change(wanted: readonly Reserving[], undo: (() => void)[]): void {
    const sized = new Map<ApplianceId, MachineRequest>();
    const others: { one: Reserving; request: MachineRequest }[] = [];
    for (const one of wanted) {
      const { id } = one.plan;
      const request = machineRequest(one.plan, one.cgroup.path);
      const before = this.#kept.get(id);
      if (request === undefined) this.#give(id, undo);
      else if (before !== undefined && structureOf(before) === structureOf(request)) sized.set(id, request);
      else others.push({ one, request });
    }
    const before = new Map([...sized.keys()].map((id) => [id, this.#kept.get(id) as MachineRequest]));
    const shrinks = ({ one, request }: (typeof others)[number]): number => {
      const now = this.#kept.get(one.plan.id);
      return utilisation(request) - (now === undefined ? 0 : utilisation(now));
    };
    if (sized.size > 0) this.#resize(sized, () => this.#resize(before), undo);
    for (const { one, request } of others.toSorted((a, b) => shrinks(a) - shrinks(b))) {
      this.#take(one, request, undo);
    }
  }

  #resize(
    requests: ReadonlyMap<ApplianceId, MachineRequest>,
    back?: () => void,
    undo?: (() => void)[],
  ): void {
    this.#scheduler.adapt(new Map([...requests].map(([id, { reservation }]) => [id, reservation])));
    for (const [id, request] of requests) this.#kept.set(id, request);
    if (back !== undefined) undo?.push(back);
  }

  /** Nothing is reserved for it any more. */
  #give(id: ApplianceId, undo: (() => void)[]): void {
    const before = this.#kept.get(id);
    if (before === undefined) return;
    this.#scheduler.expel(id);
    this.#kept.delete(id);
    undo.push(() => this.#put(before));
  }

  #take({ plan, before, cgroup }: Reserving, request: MachineRequest, undo: (() => void)[]): void {
    const kept = this.#kept.get(plan.id);
    if (kept === undefined) {
      // Whatever limited it until now is no longer to; how the reservation is kept is for the scheduler to say.
      if (before !== undefined) undo.push(() => limit(cgroup, before.cpu));
      cgroup.setCpu("max");
    }
    this.#put(request);
    undo.push(() => (kept === undefined ? this.expel(plan.id) : this.#put(kept)));
  }

  #put(request: MachineRequest): void {
    this.#scheduler.reserve(request);
    this.#kept.set(request.id as ApplianceId, request);
  }

  expel(id: ApplianceId): void {
    if (!this.#kept.delete(id)) return;
    this.#attempt(() => this.#scheduler.expel(id));
  }

  /** Holds what it has reserved, and is not dispatched. */
  suspend(id: ApplianceId): void {
    if (this.#kept.has(id)) this.#scheduler.suspend(id);
  }

  resume(id: ApplianceId): void {
    if (this.#kept.has(id)) this.#scheduler.resume(id);
  }

  /** It has what its plan asks for, as far as that is for the scheduler to give. */
  has(plan: AppliancePlan): boolean {
    return plan.cpu?.kind !== "reservation" || this.#kept.has(plan.id);
  }

  reports(): ReadonlyMap<string, SchedulingReport> {
    const reports = new Map<string, SchedulingReport>();
    for (const { id, ...told } of this.#scheduler.counters()) {
      const enforcement = this.#scheduler.enforcementOf(id);
      if (enforcement !== undefined) reports.set(id, { enforcement, ...told });
    }
    return reports;
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (cause) {
      this.#log.warn(`Cannot undo what was reserved: ${messageOf(cause)}`, { cause });
    }
  }
}

function limit(cgroup: Cgroup, cpu: CpuRequest | undefined): void {
  const { weight, quota } = cpuLimits(cpu);
  cgroup.setWeight(weight);
  cgroup.setCpu(quota);
}
