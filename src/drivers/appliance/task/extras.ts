import type { ApplianceId } from "#base/ids.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ApplianceState } from "#protocol/host-report.ts";

/** What a slot has in its root that others have not. */
export type SlotExtras = {
  /** Directories of the host, writable as far as their owners and modes allow it; `target` is right below the root. */
  readonly binds: readonly { readonly source: string; readonly target: string }[];
  /** Character devices, below /dev; the slot's own user may use them. */
  readonly devices: readonly { readonly name: string; readonly major: number; readonly minor: number }[];
};

export const noExtras: SlotExtras = { binds: [], devices: [] };

/** For appliances whose command is itself a machine. */
export type MachineHooks = {
  /** Whether this is one of them; the others are as if there were no hooks. */
  serves(plan: AppliancePlan): boolean;
  /** Asked for each time its slot is made, before anything of it runs. */
  extras(plan: AppliancePlan, uid: number): SlotExtras;
  /** Asks it to end by itself, without waiting; false where nobody is there to be asked. */
  askToEnd(id: ApplianceId): boolean;
};

/** What the slot of one appliance is on its host. */
export type SlotFacts = {
  readonly uid: number;
  readonly netns: string;
  readonly cgroup: Cgroup;
  /** Of the last run asked for; 0: none yet. */
  readonly run: number;
  readonly state: ApplianceState;
};
