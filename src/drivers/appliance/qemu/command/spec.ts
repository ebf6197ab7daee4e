import type { MacAddress } from "#base/ids.ts";
import type { Bytes } from "#base/units.ts";
import type { DiskFormat } from "#model/image.ts";

/** Where everything is that a machine's QEMU opens, in its own root. */
export const insideDirectory = "/vm";

/** Sockets and files by these names in a machine's directory. */
export const socketNames = {
  qmp: "qmp",
  agent: "agent",
  context: "context",
  console: "console",
  display: "vnc",
} as const;

/** Names of virtio-serial ports, as the guest sees them below /dev/virtio-ports. */
export const portNames = { agent: "org.qemu.guest_agent.0", context: "consort.context" } as const;

/** One layer of a disk: what it is read from, as a `-blockdev` object without its node name. */
export type DiskLayer = {
  readonly source: Readonly<Record<string, unknown>>;
  readonly format: DiskFormat;
};

/** Its block node is called `name`, its device `disk-<name>`; the guest sees `name` as its serial number. */
export type DiskSpec = {
  readonly name: string;
  /** From the top down; all but the first are read-only. */
  readonly layers: readonly [DiskLayer, ...DiskLayer[]];
  readonly readOnly: boolean;
  /** What its top layer's node is called instead: while it is elsewhere. */
  readonly topNode?: string;
};

/** Its device is called as the guest calls it. */
export type NicSpec = { readonly name: string; readonly tap: string; readonly mac: MacAddress };

export type BootSpec =
  | {
      readonly kind: "kernel";
      readonly kernel: string;
      readonly initrd?: string;
      readonly commandLine: string;
    }
  | { readonly kind: "disk"; readonly firmware: "bios" | "uefi" };

/** own: anonymous; file: mapped from a file in the directory, which others share. */
export type MemorySpec =
  | { readonly kind: "own" }
  | { readonly kind: "file"; readonly path: string; readonly shared: boolean };

/** All that QEMU's command line says; every choice is already made. */
export type MachineSpec = {
  readonly name: string;
  readonly machine: "microvm" | "q35";
  readonly accel: "kvm" | "tcg";
  readonly vcpus: number;
  readonly vcpusMax: number;
  readonly memoryBytes: Bytes;
  /** q35: as far as memory may be plugged in. */
  readonly memoryBytesMax: Bytes;
  readonly memory: MemorySpec;
  readonly boot: BootSpec;
  readonly disks: readonly DiskSpec[];
  readonly nics: readonly NicSpec[];
  /** It waits for another QEMU's state instead of booting. */
  readonly incoming: boolean;
};
