import type { Enforcement, TeamPolicy } from "#model/ensemble.ts";
import type { Reservation } from "./reservation.ts";

type EnforcementKind = Exclude<Enforcement, "auto">;

/** What the choice depends on of a team, or of the programs that are in no team. */
export type TeamShape = {
  readonly policy: TeamPolicy;
  readonly jobs: readonly unknown[];
  readonly teams: readonly TeamShape[];
};

export type EnforcementWish = {
  readonly enforcement: Enforcement;
  readonly reservation: Reservation;
  readonly programs: TeamShape;
  /** It has a control group of its own that quotas can be set on. */
  readonly isLimited: boolean;
};

/**
 * What "auto" means, for hosts and for those who plan what hosts will do. The kernel's quota where it serves: nothing
 * has to run for it, it uses several processors, and it is adapted by one write. A dispatch table where jobs are to
 * take turns, which a quota cannot make them do, and where there is no control group to limit. Never the deadline
 * scheduler, which has to be asked for, as it treats each thread by itself. Undefined: none of these works.
 */
export function chosenEnforcement(
  { enforcement, reservation, programs, isLimited }: EnforcementWish,
  works: ReadonlySet<EnforcementKind>,
): EnforcementKind | undefined {
  if (enforcement !== "auto") return enforcement;
  const order: readonly EnforcementKind[] =
    isLimited && !takesTurns(programs)
      ? ["bandwidth", "dispatch-table"]
      : ["dispatch-table", ...(isLimited ? (["bandwidth"] as const) : [])];
  const fits = (kind: EnforcementKind): boolean =>
    kind !== "dispatch-table" || reservation.executionUs <= reservation.periodUs;
  return order.find((kind) => works.has(kind) && fits(kind));
}

function takesTurns({ policy, jobs, teams }: TeamShape): boolean {
  return (policy === "round-robin" && jobs.length + teams.length > 1) || teams.some(takesTurns);
}
