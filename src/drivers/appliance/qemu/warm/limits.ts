import { mebibytes, millis } from "#base/units.ts";

/** Named limits of warm snapshots; docs/reference/limits.md explains them. */
export const warmLimits = {
  /** Snapshots kept on one host; the one that was used longest ago makes room for another. */
  snapshotsMost: 8,
  /** Memory files of all of them together. */
  memoryBytesMax: mebibytes(4096),
  /** Machines of one kind before a snapshot is made for the next one, where that is not asked for. */
  demandLeast: 2,
  /** In which a guest must have booted to be kept as a snapshot. */
  bootMsMax: millis(120_000),
  /** A guest has told that it is up: what begins after that gets so long before it is stopped. */
  settleMs: millis(1500),
  /** A snapshot is forgotten once so many machines in a row did not come to run from it. */
  failuresMost: 3,
  /** After a snapshot could not be made, none of that kind is tried for so long. */
  retryMs: millis(60_000),
} as const;
