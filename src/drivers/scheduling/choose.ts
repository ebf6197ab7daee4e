import type { EnforcedTeam, EnforcementKind, MachineRequest } from "./port.ts";

/**
 * What "auto" means. The kernel's quota where it serves: nothing has to run for it, it uses several processors, and it
 * is adapted by one write. A dispatch table where jobs are to take turns, which a quota cannot make them do, and where
 * there is no control group to limit. Never the deadline scheduler, which has to be asked for, as it treats each
 * thread by itself.
 */
export function chosenKind(
  machine: MachineRequest,
  works: ReadonlySet<EnforcementKind>,
): EnforcementKind | undefined {
  if (machine.enforcement !== "auto") return machine.enforcement;
  const limited = machine.cgroup !== undefined;
  const order: readonly EnforcementKind[] =
    limited && !takesTurns(machine)
      ? ["bandwidth", "dispatch-table"]
      : ["dispatch-table", ...(limited ? (["bandwidth"] as const) : [])];
  const fits = (kind: EnforcementKind): boolean =>
    kind !== "dispatch-table" || machine.reservation.executionUs <= machine.reservation.periodUs;
  return order.find((kind) => works.has(kind) && fits(kind));
}

function takesTurns({ policy, jobs, teams }: Pick<EnforcedTeam, "policy" | "jobs" | "teams">): boolean {
  return (policy === "round-robin" && jobs.length + teams.length > 1) || teams.some(takesTurns);
}
