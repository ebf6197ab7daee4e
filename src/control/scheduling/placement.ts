import { formatCpu, milliCpu } from "#base/units.ts";
import type { Micros } from "#base/units.ts";
import { schedulingLimits } from "./limits.ts";
import { partition, partitionAround } from "./partition.ts";
import { hyperperiodOf, utilisationGrace, utilisationOf } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import { usableShare } from "./processor-load.ts";
import type { ProcessorLoad } from "./processor-load.ts";
import { inQuanta, periodsOf } from "./quanta.ts";
import { durationText } from "./refusal.ts";
import type { Refusal } from "./refusal.ts";
import type { MachineReservation, ProcessorCapacity, SchedulingPolicy } from "./reservation.ts";
import { teamsProblem } from "./teams.ts";

/** How the dispatch tables of one host are made. */
export type TableSettings = {
  readonly quantumUs: Micros;
  readonly processors: readonly ProcessorCapacity[];
  readonly policy: SchedulingPolicy;
};

/** On which processor each machine runs. */
export type Placement =
  | { readonly ok: true; readonly processorOf: ReadonlyMap<string, number> }
  | { readonly ok: false; readonly refusal: Refusal };

/** Decides whether machines can be kept by dispatch tables, and on which processors. Depends on their set alone. */
export function placeMachines(
  machines: readonly MachineReservation[],
  settings: TableSettings,
  effort: "quick" | "thorough" = "thorough",
): Placement {
  for (const machine of machines) {
    const refusal = tableRefusal(machine, settings);
    if (refusal !== undefined) return { ok: false, refusal };
  }
  const tasks = machines.map((machine) => tableTask(machine, settings.quantumUs));
  const parted = partition(tasks, settings.processors, settings.policy, effort);
  const misfit = parted.ok ? undefined : machines[parted.misfit];
  if (!parted.ok && misfit !== undefined)
    return { ok: false, refusal: misfitRefusal(misfit, parted.loads, settings) };
  const places = parted.ok ? parted.processorOf : [];
  return { ok: true, processorOf: new Map(machines.map(({ id }, index) => [id, places[index] ?? 0])) };
}

const tableTask = (machine: MachineReservation, quantumUs: Micros): PeriodicTask => ({
  ...inQuanta(machine.reservation, quantumUs),
  repeat: tableLength([machine], quantumUs),
});

/** The same with machines that have a processor staying there; undefined: not all of them fit so. */
export function placeAround(
  machines: readonly MachineReservation[],
  settled: ReadonlyMap<string, number>,
  settings: TableSettings,
): ReadonlyMap<string, number> | undefined {
  const tasks = machines.map((machine) => tableTask(machine, settings.quantumUs));
  const homes = machines.map((machine) => settled.get(machine.id));
  const parted = partitionAround(tasks, homes, settings.processors, settings.policy);
  if (!parted.ok) return undefined;
  return new Map(machines.map(({ id }, index) => [id, parted.processorOf[index] ?? 0]));
}

/** Why no table at all could keep this machine. */
export function tableRefusal(machine: MachineReservation, settings: TableSettings): Refusal | undefined {
  const { quantumUs, policy } = settings;
  const { periodUs, executionUs } = machine.reservation;
  const task = inQuanta(machine.reservation, quantumUs);
  const bad = (reason: string): Refusal => ({ code: "bad-reservation", machine: machine.id, reason });
  if (task.period < 1)
    return bad(
      `${machine.id} has a period of ${durationText(periodUs)}, it must be no shorter than a slot of ${durationText(quantumUs)}`,
    );
  if (task.execution > task.period)
    return bad(
      `${machine.id} has ${durationText(executionUs)} of every ${durationText(periodUs)} reserved, which is ${task.execution} of ${task.period} slots of ${durationText(quantumUs)}, it cannot be more than all`,
    );
  const teams = teamsProblem(machine, { quantumUs, policy });
  return teams === undefined
    ? undefined
    : { code: "teams", machine: machine.id, reason: `${machine.id} cannot be divided: ${teams}` };
}

function misfitRefusal(
  machine: MachineReservation,
  loads: readonly ProcessorLoad[],
  settings: TableSettings,
): Refusal {
  const task = tableTask(machine, settings.quantumUs);
  const kept = loads.find((load) => load.keeps(task));
  if (kept !== undefined) return tooLarge(machine, kept.repeat, settings.quantumUs);
  const { periodUs, executionUs } = machine.reservation;
  const wanted = `${machine.id} needs ${durationText(executionUs)} of every ${durationText(periodUs)}, ${percent(utilisationOf(task))} of a processor in slots of ${durationText(settings.quantumUs)}`;
  const free = loads.map((load, index) => capacityAt(settings, index) - load.utilisation);
  const most = Math.max(0, ...free);
  return most + utilisationGrace >= utilisationOf(task)
    ? {
        code: "unschedulable",
        machine: machine.id,
        reason: `${wanted}, and that much is free, but by rate monotonic priorities it or another would miss the end of a period`,
        remedy: `periods that divide each other, or the policy earliest-deadline-first, waste nothing`,
      }
    : {
        code: "over-capacity",
        machine: machine.id,
        reason: `${wanted}, at most ${percent(most)} of one is not yet reserved`,
      };
}

const capacityAt = (settings: TableSettings, index: number): number =>
  usableShare(settings.processors[index] ?? { milli: 0 });

const percent = (share: number): string => formatCpu(milliCpu(share * 1000));

function tooLarge(machine: MachineReservation, length: number, quantumUs: Micros): Refusal {
  const period = inQuanta(machine.reservation, quantumUs).period;
  const better = shorterPeriod(period, length);
  return {
    code: "table-too-large",
    machine: machine.id,
    reason: `with the period ${durationText(period * quantumUs)} of ${machine.id} the dispatch table repeats only after more than ${schedulingLimits.tableSlotsMax} slots of ${durationText(quantumUs)}`,
    remedy: `a period of ${durationText(better * quantumUs)} would do, or enforcement by bandwidth`,
  };
}

/** The longest one, not longer than `period`, that repeats together with `length` slots soon enough. */
function shorterPeriod(period: number, length: number): number {
  for (let shorter = period; shorter > 1; shorter -= 1)
    if (hyperperiodOf([shorter, length]) <= schedulingLimits.tableSlotsMax) return shorter;
  return 1;
}

/** In slots, of the dispatch table of a processor with these machines. */
export const tableLength = (machines: readonly MachineReservation[], quantumUs: Micros): number =>
  hyperperiodOf(machines.flatMap((machine) => periodsOf(machine, quantumUs)));
