import { formatCpu, micros, milliCpu } from "#base/units.ts";
import type { Micros } from "#base/units.ts";
import type { Enforcement } from "#model/ensemble.ts";
import { chooseQuantum, reservationsOf } from "./choose-quantum.ts";
import { schedulingLimits } from "./limits.ts";
import { utilisationGrace } from "./periodic-task.ts";
import { placeMachines } from "./placement.ts";
import type { Placement } from "./placement.ts";
import { usableShare } from "./processor-load.ts";
import { inQuanta } from "./quanta.ts";
import { durationText } from "./refusal.ts";
import type { Refusal } from "./refusal.ts";
import type { MachineReservation, ProcessorCapacity, SchedulingPolicy } from "./reservation.ts";
import { teamsProblem } from "./teams.ts";

/** A machine and how it is kept. Suspended, it holds its reservation. */
export type BookedMachine = MachineReservation & {
  readonly kind: Exclude<Enforcement, "auto">;
  readonly suspended: boolean;
};

export type HostCapacity = {
  readonly processors: readonly ProcessorCapacity[];
  readonly policy: SchedulingPolicy;
  /** Of dispatch tables; absent: chosen for the machines that are there. */
  readonly quantumUs?: Micros;
};

/** What is admitted: the slots of its dispatch tables, and where its machines run. */
export type Admission =
  | { readonly ok: true; readonly quantumUs: Micros; readonly processorOf: ReadonlyMap<string, number> }
  | { readonly ok: false; readonly refusal: Refusal };

/**
 * Whether one host can keep all these reservations together. Depends on the set alone, not on its order or on what was
 * there before, so that what was admitted bit by bit is admitted again as a whole after a restart.
 *
 * Machines kept by dispatch tables are placed on single processors, and tested exactly there. The others may run on
 * any. All together never exceed the processors.
 */
export function admission(
  machines: readonly BookedMachine[],
  host: HostCapacity,
  effort: "quick" | "thorough" = "thorough",
): Admission {
  for (const machine of machines) {
    const refusal = formRefusal(machine);
    if (refusal !== undefined) return { ok: false, refusal };
  }
  const tabled = machines.filter((machine) => machine.kind === "dispatch-table");
  const quantumUs = host.quantumUs ?? chooseQuantum(tabled);
  const placement: Placement = placeMachines(tabled, { ...host, quantumUs }, effort);
  if (!placement.ok) return placement;
  const refusal = sumRefusal(machines, host, quantumUs);
  return refusal === undefined
    ? { ok: true, quantumUs, processorOf: placement.processorOf }
    : { ok: false, refusal };
}

/** Why they cannot be kept; undefined: they can. */
export function admissionRefusal(
  machines: readonly BookedMachine[],
  host: HostCapacity,
): Refusal | undefined {
  const admitted = admission(machines, host);
  return admitted.ok ? undefined : admitted.refusal;
}

/** Of all processors together, 1 being one of them. */
export const totalShare = (processors: readonly ProcessorCapacity[]): number =>
  processors.reduce((sum, capacity) => sum + usableShare(capacity), 0);

/** What the kernel's deadline scheduler gives of them, in the same unit. */
export const deadlineShare = (processors: readonly ProcessorCapacity[]): number =>
  (totalShare(processors) * schedulingLimits.deadlineMilliMax) / 1000;

/** Of processors, that a machine takes; in a dispatch table whole slots. */
export function shareOf(machine: BookedMachine, quantumUs: Micros): number {
  if (machine.kind !== "dispatch-table")
    return machine.reservation.executionUs / machine.reservation.periodUs;
  const { period, execution } = inQuanta(machine.reservation, quantumUs);
  return execution / period;
}

/** What no set of machines could change. */
export function formRefusal(machine: BookedMachine): Refusal | undefined {
  const { id, kind } = machine;
  const bad = (reason: string): Refusal => ({ code: "bad-reservation", machine: id, reason });
  for (const { periodUs, executionUs } of reservationsOf(machine)) {
    if (!Number.isInteger(periodUs) || periodUs < 1 || periodUs > schedulingLimits.periodUsMax)
      return bad(
        `a period of ${id} is ${durationText(periodUs)}, it must be between 0.001ms and ${durationText(schedulingLimits.periodUsMax)}, in whole microseconds`,
      );
    if (!Number.isInteger(executionUs) || executionUs < 1)
      return bad(`an execution time of ${id} is ${durationText(executionUs)}, it must be 0.001ms or more`);
  }
  const { periodUs, executionUs } = machine.reservation;
  if (kind === "deadline" && executionUs > periodUs)
    return bad(
      `${id} has ${durationText(executionUs)} of every ${durationText(periodUs)} reserved, by deadline it cannot be more than one processor`,
    );
  const teams = teamsProblem(machine, undefined);
  return teams === undefined
    ? undefined
    : { code: "teams", machine: id, reason: `${id} cannot be divided: ${teams}` };
}

function sumRefusal(
  machines: readonly BookedMachine[],
  host: HostCapacity,
  quantumUs: Micros,
): Refusal | undefined {
  const deadlines = machines.filter((machine) => machine.kind === "deadline");
  const limits = [
    { among: machines, total: totalShare(host.processors), by: "" },
    { among: deadlines, total: deadlineShare(host.processors), by: " that can be kept by deadlines" },
  ];
  for (const { among, total, by } of limits) {
    let taken = 0;
    for (const machine of among) {
      const share = shareOf(machine, quantumUs);
      if (taken + share > total + utilisationGrace)
        return {
          code: "over-capacity",
          machine: machine.id,
          reason: `${machine.id} needs ${durationText(machine.reservation.executionUs)} of every ${durationText(machine.reservation.periodUs)}, ${percent(share)} of a processor, ${percent(total - taken)} of ${percent(total)}${by} is not yet reserved`,
        };
      taken += share;
    }
  }
  return undefined;
}

const percent = (share: number): string => formatCpu(milliCpu(share * 1000));

/**
 * The longest execution time found that could be reserved for `asked` in its period, beside the others as they are; 0:
 * none. The answer is always admitted. In a dispatch table it is the longest in slots of one of these lengths: the fixed
 * one; or those chosen for the set as it is asked for, and for whole periods, and the shortest.
 */
export function largestFeasible(
  asked: BookedMachine,
  others: readonly BookedMachine[],
  host: HostCapacity,
): Micros {
  if (asked.kind !== "dispatch-table") return largestInSteps(1, asked, others, host);
  if (host.quantumUs !== undefined) return largestInSteps(host.quantumUs, asked, others, host);
  const tabled = others.filter((machine) => machine.kind === "dispatch-table");
  const { periodUs } = asked.reservation;
  const whole = { ...asked, teams: [], reservation: { periodUs, executionUs: periodUs } };
  const lengths = new Set([
    chooseQuantum([asked, ...tabled]),
    chooseQuantum([whole, ...tabled]),
    schedulingLimits.quantumUsMin,
  ]);
  return micros(Math.max(...[...lengths].map((length) => largestInSteps(length, asked, others, host))));
}

function largestInSteps(
  step: number,
  asked: BookedMachine,
  others: readonly BookedMachine[],
  host: HostCapacity,
): Micros {
  const { periodUs } = asked.reservation;
  const processors = asked.kind === "bandwidth" ? Math.max(1, host.processors.length) : 1;
  const withExecution = (steps: number, teams = asked.teams): BookedMachine => ({
    ...asked,
    teams,
    reservation: { periodUs, executionUs: micros(steps * step) },
  });
  const inSlots = asked.kind === "dispatch-table" ? { ...host, quantumUs: micros(step) } : host;
  // Its teams set a least execution time, which would mislead a search for the greatest.
  const fits = (steps: number, effort: "quick" | "thorough" = "quick"): boolean =>
    admission([...others, withExecution(steps, [])], inSlots, effort).ok;
  const most = Math.floor((periodUs * processors) / step);
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  // On several processors a longer time may be placed where a shorter one is not, and so may one longer than that.
  for (let below = -1; host.processors.length > 1 && low > below;) {
    below = low;
    const last = Math.min(most, low + schedulingLimits.largestStepsMax);
    for (let steps = last; steps > low; steps -= 1) if (fits(steps, "thorough")) low = steps;
  }
  const kept = low > 0 && admission([...others, withExecution(low)], host).ok;
  return micros(kept ? low * step : 0);
}
