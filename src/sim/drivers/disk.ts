import { ConsortError } from "#base/errors.ts";
import type { PlanKeeper } from "#drivers/store/port.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { Spread } from "#sim/settings.ts";

/** What can be wrong with a disk. */
export type DiskState = { delayMs: number; full: boolean };

/** A host's disk: what is durable there. */
export type SimulatedDisk = DiskState & { plan: HostPlan | undefined };

export const simulatedDisk = (): SimulatedDisk => ({ plan: undefined, delayMs: 0, full: false });

export const slowed = ([least, most]: Spread, { delayMs }: DiskState): Spread => [
  least + delayMs,
  most + delayMs,
];

export function diskFull(action: string): ConsortError {
  return new ConsortError("driver_failed", `Cannot ${action}: no space is left on the disk`);
}

/** A plan is replaced whole: an end in the middle leaves the old one or the new one. */
export function simulatedKeeper(disk: SimulatedDisk, life: Incarnation, diskMs: Spread): PlanKeeper {
  return {
    load: () => life.read("disk, load the plan", slowed(diskMs, disk), () => disk.plan),
    save: (plan) =>
      life.call("disk, save the plan", slowed(diskMs, disk), () => {
        if (disk.full) throw diskFull("keep the plan");
        disk.plan = plan;
      }),
  };
}
