import type { ApplianceId, HostId } from "#base/ids.ts";
import { formatCpu, formatDuration, micros, millis } from "#base/units.ts";
import type { BookedMachine } from "#control/scheduling/admission.ts";
import type { Refusal } from "#control/scheduling/refusal.ts";
import type { CpuReservation } from "#model/ensemble.ts";
import type { MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import { fittingPeriod, reservationsByHost, scheduleRefusal } from "#planner/reservations.ts";
import type { ReservingHost } from "#planner/reservations.ts";

/** Enough in sum, but not in time: of hosts whose sums are kept. */
export function scheduleViolations(
  problem: MappingProblem,
  placements: Placements,
  exceeded: ReadonlySet<HostId>,
): Violation[] {
  const hosts = new Map(problem.topology.hosts.map((host) => [host.id, host]));
  return [...reservationsByHost(problem, placements)].flatMap(([id, { machines }]): Violation[] => {
    const host = exceeded.has(id) ? undefined : hosts.get(id);
    const refusal = host === undefined ? undefined : scheduleRefusal(machines, host);
    if (host === undefined || refusal === undefined) return [];
    const { machine, reason, largestUs } = refusal;
    return [
      {
        kind: "host-schedule",
        host: id,
        appliance: machine as ApplianceId,
        largestUs: micros(largestUs),
        message: `Cannot keep every period on ${id} (${formatCpu(host.cpuMilli)}): ${reason}`,
        remedy: `${scheduleRemedy(refusal, machines, host)}; or declare enforcement: bandwidth, or add hosts`,
      },
    ];
  });
}

function scheduleRemedy(
  { code, machine, largestUs }: Refusal & { readonly largestUs: number },
  machines: readonly BookedMachine[],
  host: ReservingHost,
): string {
  if (code === "teams") return `Give the teams of ${machine} less, or periods that are multiples of its own`;
  if (largestUs > 0)
    return `Ask for less for ${machine}: at most ${formatDuration(millis(largestUs / 1000))} of its period would fit there`;
  const other = fittingPeriod(machine, machines, host);
  return other === undefined
    ? `Ask for another period for ${machine}, or less for others there: nothing more fits there in its period`
    : `Ask for another period for ${machine}: ${reservationText(other)} would fit there`;
}

export const reservationText = ({
  executionUs,
  periodUs,
}: Pick<CpuReservation, "executionUs" | "periodUs">): string =>
  [executionUs, periodUs].map((us) => formatDuration(millis(us / 1000))).join("/");
