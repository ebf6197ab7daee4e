import type { DiskLimits } from "#model/vm.ts";
import type { RunningVm } from "../vm.ts";

/** One for all disks of a machine: what one takes the others cannot. */
const group = "disks";

/** What a disk is behind its bus, by its path in QEMU: the device on the bus has no disk itself. */
const deviceOf = (name: string): string => `/machine/peripheral/disk-${name}/virtio-backend`;

/** From now on; absent: as fast as they can be. Rejects with QEMU's reason, and then some of them may have new limits. */
export async function limitDisks(
  { qmp, disks }: Pick<RunningVm, "qmp" | "disks">,
  limits: DiskLimits | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const { name } of disks) {
    await qmp.execute("block_set_io_throttle", throttleOf(deviceOf(name), limits), signal);
  }
}

/** QEMU's form of it: 0 is no limit. */
export function throttleOf(
  device: string,
  limits: DiskLimits | undefined,
): Readonly<Record<string, unknown>> {
  const { readBytesPerSecond = 0, writeBytesPerSecond = 0 } = limits ?? {};
  const { readsPerSecond = 0, writesPerSecond = 0 } = limits ?? {};
  const limited = Math.max(readBytesPerSecond, writeBytesPerSecond, readsPerSecond, writesPerSecond) > 0;
  return {
    id: device,
    bps: 0,
    bps_rd: readBytesPerSecond,
    bps_wr: writeBytesPerSecond,
    iops: 0,
    iops_rd: readsPerSecond,
    iops_wr: writesPerSecond,
    // Without limits it belongs to no group.
    ...(limited ? { group } : {}),
  };
}
