import type { Bytes } from "#base/units.ts";
import type { DiskLimits } from "#model/vm.ts";

/** What can change of a machine while its guest runs. */
export type MachineSize = {
  readonly vcpus: number;
  readonly memoryBytes: Bytes;
  /** Absent: its disks are as fast as they can be. */
  readonly disk?: DiskLimits;
};
