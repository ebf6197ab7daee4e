import type { ApplianceId, Ipv4Address } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import type { Processes } from "#drivers/process/port.ts";
import type { RunningVm } from "../vm.ts";

/** Where a machine is, also while its QEMU is not there (yet). */
export type MachinePlace = Pick<RunningVm, "id" | "directory" | "inside" | "cgroup"> & {
  /** Its QEMU's process is there, though it does not answer (yet): it has begun a moment ago, or is held up. */
  readonly isSilent?: boolean;
};

/** What all steps of moves work with. */
export type MoveParts = {
  /** This host's, on the underlay network: nothing is listened to anywhere else. */
  readonly address: Ipv4Address;
  /** Records of moves; the driver's own, out of the machines' reach. */
  readonly directory: string;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  /** Bytes per second at which a machine's state is sent; absent: as fast as it goes. */
  readonly sendBytesPerSecond?: number;
  /** Bytes per second of background copying, for each machine; absent: as fast as it goes. */
  readonly copyBytesPerSecond?: number;
};

/** Sockets in a machine's directory. */
export const socketNames = {
  /** Arriving: QEMU listens for its state. */
  incoming: "incoming",
  /** Leaving: QEMU sends its state there. */
  outgoing: "outgoing",
  /** Arriving: its disks are read from there. */
  remoteDisks: "remote-disks",
} as const;

/** Leaving: disks are served there, by a process of each move's own: an earlier one may still be on its way out. */
export const servingNames = (move: string): { readonly disks: string; readonly control: string } => ({
  disks: `disks-${move}`,
  control: `disks-qmp-${move}`,
});

/** The block node of a disk that is still on the other host; `<disk>` once it is here. */
export const remoteNode = (disk: string): string => `${disk}-remote`;

/** Where QEMU finds such a disk's bytes: the layer's file as it is, whatever its format. */
export const remoteSource = (inside: string, disk: string): Readonly<Record<string, unknown>> => ({
  driver: "nbd",
  server: { type: "unix", path: `${inside}/${socketNames.remoteDisks}` },
  export: disk,
  // Requests wait for the other host, however long it takes: an error would reach the guest, and stay.
  "reconnect-delay": 7 * 24 * 3600,
});

/** A machine as a move's file is named after it. */
export const fileNameOf = (id: ApplianceId): string => encodeURIComponent(id);
