import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { BlobRef } from "#model/image.ts";

/**
 * State of one virtual machine at one moment. It needs all that `after` names, back to a full one. Complete only once
 * this record is durable, which is written last: one cut off at any byte leaves those before it as they are.
 */
export type Checkpoint = {
  readonly id: string;
  readonly appliance: ApplianceId;
  readonly generation: string;
  /** Taken at the same moment as those of other appliances with this name. */
  readonly group?: string;
  readonly takenAtMs: Millis;
  /** When its machine was begun, on whatever host that was: who goes on from it is as old. Absent: nobody knew. */
  readonly startedAt?: Millis;
  /** Changed parts of each of its writable disks, and its memory and devices. */
  readonly disks: readonly { readonly disk: string; readonly content: CheckpointPart }[];
  readonly memory?: CheckpointPart;
  /** The checkpoint whose parts it only differs from; absent: it is full. */
  readonly after?: string;
  /** Machine, processors, memory and command line it was taken with: what continues it must have the same. */
  readonly machine: string;
  readonly pauseMs: Millis;
};

export type CheckpointPart = BlobRef & {
  readonly compression: "none" | "zstd" | "lz4";
  /** Before it was compressed. */
  readonly contentBytes: Bytes;
};

/** Where the parts of one can be read. */
export type CheckpointCopies = {
  readonly hosts: readonly HostId[];
  readonly store?: string;
  /** Name of the secret with the store's keys. */
  readonly credentials?: string;
};
