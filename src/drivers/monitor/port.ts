import type { ApplianceId } from "#base/ids.ts";
import type { Reading } from "#control/monitor/readings.ts";
import type { MonitorPlan } from "#protocol/host-plan.ts";

/** The appliance to be measured, as it is here now. */
export type MonitorTarget = {
  readonly appliance: ApplianceId;
  /** Path of its network namespace. */
  readonly netns: string;
  /** What the names of its ensemble resolve to inside it. */
  readonly names: ReadonlyMap<string, string>;
};

/** One monitor at work. */
export interface Probe {
  /**
   * What there is to tell since the last call, perhaps nothing. Rejects with a reason for people where it could not be
   * measured; the next call tries again.
   */
  read(signal: AbortSignal): Promise<readonly Reading[]>;
  /** At once, and nothing of it is left; a `read` under way is ended by its signal. */
  close(): void;
}

/** Measures appliances from outside: they are neither changed nor told. */
export interface MonitorDriver {
  /** Throws `unsupported` for a source it does not have, `driver_failed` where the appliance cannot be looked at. */
  open(plan: MonitorPlan, target: MonitorTarget): Probe;
}
