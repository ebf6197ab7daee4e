import type { ApplianceId, HostId } from "#base/ids.ts";
import { admissionRefusal, largestFeasible } from "#control/scheduling/admission.ts";
import type { BookedMachine, HostCapacity } from "#control/scheduling/admission.ts";
import { chosenEnforcement } from "#control/scheduling/choose-enforcement.ts";
import type { TeamShape } from "#control/scheduling/choose-enforcement.ts";
import { processorsOf } from "#control/scheduling/processors.ts";
import type { Refusal } from "#control/scheduling/refusal.ts";
import type { TeamReservation } from "#control/scheduling/reservation.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Appliance } from "#model/appliances.ts";
import type { ApplianceSpec, CpuReservation, Enforcement, TeamSpec } from "#model/ensemble.ts";
import { micros } from "#base/units.ts";
import type { HostSpec } from "#model/topology.ts";
import type { MappingProblem, Placements } from "#planner/mapping.ts";
import { wantedAppliances } from "#planner/wanted.ts";

/**
 * Reservations of CPU time per period are admitted exactly, as their host would: those kept by a dispatch table run on
 * one processor each, in whole slots, in time for every period. Sums of shares, which the mapper counts by, are only a
 * first sieve. Where no such table is asked for, the sums are exact, and nothing here is looked at.
 */
export function machineOf({
  id,
  spec,
}: {
  readonly id: ApplianceId;
  readonly spec: Pick<ApplianceSpec, "cpu" | "enforcement" | "teams">;
}): BookedMachine | undefined {
  const { cpu, enforcement = "auto", teams = [] } = spec;
  if (cpu?.kind !== "reservation") return undefined;
  const reservation = reservationOf(cpu);
  return {
    id,
    kind: kindOf(reservation, enforcement, teams),
    reservation,
    teams: teams.map(teamOf),
    suspended: false,
  };
}

/** What hosts have, each: all back ends work there, and every appliance has a control group of its own. */
const enforcementKinds: ReadonlySet<BookedMachine["kind"]> = new Set([
  "dispatch-table",
  "bandwidth",
  "deadline",
]);

function kindOf(
  reservation: BookedMachine["reservation"],
  enforcement: Enforcement,
  teams: readonly TeamSpec[],
): BookedMachine["kind"] {
  const programs: TeamShape = { policy: "together", jobs: ["main"], teams };
  const wish = { enforcement, reservation, programs, isLimited: true };
  return chosenEnforcement(wish, enforcementKinds) ?? "bandwidth";
}

const reservationOf = ({ periodUs, executionUs }: CpuReservation): BookedMachine["reservation"] => ({
  periodUs,
  executionUs,
});

function teamOf({ name, cpu, policy, teams }: TeamSpec): TeamReservation {
  const reservation = cpu === undefined ? {} : { reservation: reservationOf(cpu) };
  return { name, ...reservation, policy, teams: teams.map(teamOf) };
}

/** What of a host its reservations are admitted by. */
export type ReservingHost = Pick<HostSpec, "cpuMilli" | "dispatch">;

const hostCapacity = ({ cpuMilli, dispatch }: ReservingHost): HostCapacity => ({
  processors: processorsOf(cpuMilli),
  policy: "rate-monotonic",
  ...dispatch,
});

/** Why a host cannot keep all these in time; undefined: it can. */
export function scheduleRefusal(
  machines: readonly BookedMachine[],
  reserving: ReservingHost,
): (Refusal & { readonly largestUs: number }) | undefined {
  if (machines.every(({ kind }) => kind === "bandwidth")) return undefined;
  const host = hostCapacity(reserving);
  const refusal = admissionRefusal(machines, host);
  if (refusal === undefined) return undefined;
  const asked = machines.find(({ id }) => id === refusal.machine);
  const others = machines.filter((one) => one !== asked);
  return { ...refusal, largestUs: asked === undefined ? 0 : largestFeasible(asked, others, host) };
}

/** Other periods tried for one machine. */
const periodsTried = 24;

/**
 * The nearest other period in which the same share of a processor would fit beside the others: one of theirs, or of
 * those they divide or are divided by. For sets that repeat too late, or not in time, where asking for less is no help.
 */
export function fittingPeriod(
  machine: string,
  machines: readonly BookedMachine[],
  reserving: ReservingHost,
): BookedMachine["reservation"] | undefined {
  const asked = machines.find(({ id }) => id === machine);
  if (asked === undefined) return undefined;
  const { periodUs, executionUs } = asked.reservation;
  const others = machines.filter((one) => one !== asked);
  const distance = (one: number): number => Math.abs(Math.log(one / periodUs));
  const near = others
    .flatMap(({ reservation }) =>
      [1, 2, 3, 4, 5, 8].flatMap((n) => [reservation.periodUs * n, reservation.periodUs / n]),
    )
    .filter((one) => Number.isInteger(one) && one !== periodUs && one >= 1_000 && one <= 1_000_000);
  const tried = [...new Set(near)].toSorted((a, b) => distance(a) - distance(b)).slice(0, periodsTried);
  const host = hostCapacity(reserving);
  for (const period of tried) {
    const share = (executionUs * period) / periodUs;
    const roundedUs = share < 1_000 ? Math.ceil(share) : Math.ceil(share / 100) * 100;
    const reservation = { periodUs: micros(period), executionUs: micros(roundedUs) };
    if (admissionRefusal([...others, { ...asked, reservation }], host) === undefined) return reservation;
  }
  return undefined;
}

/** Reservations by host: of those to be placed, and of those that stay, on hosts where one is to be placed. */
export function reservationsByHost(
  problem: MappingProblem,
  placements: Placements,
): ReadonlyMap<
  HostId,
  { readonly wanted: readonly Appliance[]; readonly machines: readonly BookedMachine[] }
> {
  const wanted = Map.groupBy(
    wantedAppliances(problem).filter(({ spec }) => spec.cpu?.kind === "reservation"),
    ({ id }) => placements.get(id),
  );
  const hosts = [...wanted].flatMap(([host, own]) => (host === undefined ? [] : [[host, own] as const]));
  if (hosts.length === 0) return new Map();
  const staying = stayingMachines(problem);
  return new Map(
    hosts.map(([host, own]) => [
      host,
      {
        wanted: own,
        machines: [...(staying.get(host) ?? []), ...own.flatMap((one) => machineOf(one) ?? [])],
      },
    ]),
  );
}

/** Reservations of what stays where it is, by host. */
export function stayingMachines({ existing, held }: MappingProblem): ReadonlyMap<HostId, BookedMachine[]> {
  const machines = new Map<HostId, BookedMachine[]>();
  const add = (host: HostId, machine: BookedMachine): void => {
    const list = machines.get(host);
    if (list === undefined) machines.set(host, [machine]);
    else list.push(machine);
  };
  for (const [host, list] of held?.machines ?? []) for (const machine of list) add(host, machine);
  for (const { ensemble, placements } of existing) {
    if (!ensemble.appliances.some(({ cpu }) => cpu?.kind === "reservation")) continue;
    for (const appliance of appliancesOf(ensemble)) {
      const host = placements.get(appliance.id);
      const machine = machineOf(appliance);
      if (host !== undefined && machine !== undefined) add(host, machine);
    }
  }
  return machines;
}
