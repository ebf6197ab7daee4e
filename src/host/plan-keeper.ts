import type { HostPlan } from "#protocol/host-plan.ts";

/** Where a host keeps the newest plan it accepted, so that it obeys it from its first moment, and no older one ever. */
export interface PlanKeeper {
  load(signal: AbortSignal): Promise<HostPlan | undefined>;
  /** Durable when it resolves. */
  save(plan: HostPlan, signal: AbortSignal): Promise<void>;
}

/** Plans are ordered by epoch, then revision. */
export function isOlder(
  a: { epoch: number; revision: number },
  b: { epoch: number; revision: number },
): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.revision < b.revision);
}
