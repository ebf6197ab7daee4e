import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { admissionRefusal } from "#control/scheduling/admission.ts";
import type { BookedMachine } from "#control/scheduling/admission.ts";
import { teamsProblem } from "#control/scheduling/teams.ts";
import { chooseQuantum } from "#control/scheduling/choose-quantum.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { durationUsText } from "#formats/units.ts";
import { micros } from "#base/units.ts";
import type { ApplianceSpec, CpuReservation, TeamSpec } from "#model/ensemble.ts";
import { machineOf } from "#planner/reservations.ts";

/** What of a reservation no host at all could keep in a dispatch table, also one that has nothing else to do. */
export function tableFindings(spec: ApplianceSpec, path: Path): Finding[] {
  const id = applianceId(ensembleName("alone"), applianceName(spec.name));
  const machine = machineOf({ id, spec });
  if (machine === undefined || spec.cpu?.kind !== "reservation") return [];
  if (machine.kind !== "dispatch-table")
    return turnFindings(spec.teams ?? [], machine.kind, [...path, "teams"]);
  const short = shortFindings(spec.teams ?? [], spec.cpu, [...path, "teams"]);
  if (short.length > 0) return short;
  const refusal = admissionRefusal([machine], { processors: [{ milli: 1000 }], policy: "rate-monotonic" });
  if (refusal === undefined) return [];
  const message = refusal.reason.replaceAll(id, `"${spec.name}"`);
  const wider = refusal.code === "teams" ? enoughFor(machine, spec.cpu) : undefined;
  const remedy =
    wider === undefined
      ? (refusal.remedy ?? "write enforcement: bandwidth, or another period")
      : `give ${spec.name} ${shown(wider)}, or its teams periods that are multiples of ${durationUsText(spec.cpu.periodUs)}`;
  const at = refusal.code === "teams" ? "teams" : "cpu";
  return [{ path: [...path, at], message, suggestion: remedy }];
}

/** Only a dispatch table makes jobs take turns. */
function turnFindings(teams: readonly TeamSpec[], kind: BookedMachine["kind"], path: Path): Finding[] {
  return teams.flatMap(({ name, policy, jobs, teams: inner }): Finding[] => {
    const at: Path = [...path, name];
    const within = turnFindings(inner, kind, [...at, "teams"]);
    if (policy !== "round-robin" || jobs.length + inner.length < 2) return within;
    const message = `its programs are to take turns, which enforcement by ${kind} cannot make them do`;
    const suggestion =
      "write policy: together, or enforcement: dispatch-table (at most one processor's worth)";
    return [{ path: at, message, suggestion }, ...within];
  });
}

/** A team gets a part of every period of what it is in: it cannot have a shorter one. */
function shortFindings(teams: readonly TeamSpec[], whole: CpuReservation, path: Path): Finding[] {
  return teams.flatMap(({ name, cpu, teams: inner }): Finding[] => {
    if (cpu === undefined) return [];
    const at: Path = [...path, name];
    if (cpu.periodUs >= whole.periodUs) return shortFindings(inner, cpu, [...at, "teams"]);
    const period = durationUsText(whole.periodUs);
    const message = `a period of ${durationUsText(cpu.periodUs)} is shorter than the ${period} of what it is a part of`;
    const suggestion = `write ${shown({ ...cpu, periodUs: whole.periodUs })} for ${name}, or a multiple of ${period}`;
    return [{ path: [...at, "cpu"], message, suggestion }];
  });
}

/** The least in its period that its teams fit into, in steps of the table's slots. */
function enoughFor(machine: BookedMachine, whole: CpuReservation): CpuReservation | undefined {
  const quantumUs = chooseQuantum([machine]);
  const kept = { quantumUs, policy: "rate-monotonic" } as const;
  for (let least = whole.executionUs + quantumUs; least <= whole.periodUs; least += quantumUs) {
    const wider = { ...whole, executionUs: micros(least) };
    const reservation = { periodUs: wider.periodUs, executionUs: wider.executionUs };
    if (teamsProblem({ ...machine, reservation }, kept) === undefined) return wider;
  }
  return undefined;
}

const shown = ({ executionUs, periodUs }: CpuReservation): string =>
  `${durationUsText(executionUs)}/${durationUsText(periodUs)}`;
