import type { HostPlan } from "#protocol/host-plan.ts";

/** Where a host keeps the newest plan it accepted, so that it obeys it from its first moment, and no older one ever. */
export interface PlanKeeper {
  load(signal: AbortSignal): Promise<HostPlan | undefined>;
  /** Durable when it resolves. */
  save(plan: HostPlan, signal: AbortSignal): Promise<void>;
}
