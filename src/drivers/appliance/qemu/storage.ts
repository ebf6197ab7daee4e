import type { Bytes, Millis } from "#base/units.ts";
import type { DiskFormat } from "#model/image.ts";
import type { AppliancePlan, VmPlan } from "#protocol/host-plan.ts";

/** The plan of an appliance that is a virtual machine. */
export type MachinePlan = AppliancePlan & { readonly vm: VmPlan; readonly memoryBytes: Bytes };

/** A disk of a machine as files on its host. */
export type PreparedDisk = {
  /** "root", "home", "swap", "software0"; the guest sees it as the disk's serial number. */
  readonly name: string;
  readonly readOnly: boolean;
  /** From the top down; absolute paths, the top one in the machine's directory if it can be written. */
  readonly layers: readonly PreparedLayer[];
};

export type PreparedLayer = { readonly file: string; readonly format: DiskFormat };

export type StageTold = (stage: string, tookMs: Millis) => void;

/** Makes the disks of machines: base, software, home and swap as layers of their own. */
export interface MachineStorage {
  /**
   * Writable files go into `directory` and belong to `uid`. Called again after it was cut off, it goes on; what a
   * machine has written is never made anew. Rejects with `unavailable` while content is not on this host.
   */
  prepare(
    request: { readonly plan: MachinePlan; readonly directory: string; readonly uid: number },
    onStage: StageTold,
    signal: AbortSignal,
  ): Promise<readonly PreparedDisk[]>;
  /** What the machine has written is wanted no more; the directory may hold nothing, or not be there. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
}
