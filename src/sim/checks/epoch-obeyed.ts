import type { HostId } from "#base/ids.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { Breach } from "#sim/checks/breach.ts";

type Number = Pick<HostPlan, "epoch" | "revision">;

/** A host that keeps an older plan than it has kept before: it would obey a manager whose term is over. */
export function planWentBack(
  host: HostId,
  before: Number | undefined,
  after: Number | undefined,
): Breach | undefined {
  if (before === undefined || (after !== undefined && !comesBefore(after, before))) return undefined;
  const now = after === undefined ? "none" : `epoch ${after.epoch}, revision ${after.revision}`;
  return {
    invariant: "epoch-obeyed",
    message: `${host} kept a plan of epoch ${before.epoch}, revision ${before.revision}, and now keeps ${now}`,
  };
}

/** Two different plans under one number: whoever compares numbers would take one for the other. */
export function plansUnderOneNumber(
  host: HostId,
  before: HostPlan | undefined,
  after: HostPlan | undefined,
  isEqual: (a: HostPlan, b: HostPlan) => boolean,
): Breach | undefined {
  if (before === undefined || after === undefined) return undefined;
  if (before.epoch !== after.epoch || before.revision !== after.revision || isEqual(before, after))
    return undefined;
  return {
    invariant: "epoch-obeyed",
    message: `${host} was given two plans under epoch ${after.epoch}, revision ${after.revision}`,
  };
}

/** Epochs first, then revisions; not the function that hosts compare with. */
function comesBefore(a: Number, b: Number): boolean {
  return a.epoch === b.epoch ? a.revision < b.revision : a.epoch < b.epoch;
}
