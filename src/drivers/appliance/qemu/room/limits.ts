import { bytes, millis } from "#base/units.ts";

/** Named limits of what guests leave of their host's disk; docs/reference/limits.md explains them. */
export const roomLimits = {
  /** Of the file system: what is kept for managers, and for what writes until somebody looks again. */
  roomReserveShare: 0.05,
  /** Of a large one that is enough. */
  roomReserveBytesMax: bytes(2 * 1024 ** 3),
  /** Of the reserve: with so much there is room again. */
  roomPlentyShare: 1.5,
  /** Of the reserve: with less, whoever takes any more is held. */
  roomScarceShare: 0.5,
  /** What is left above that has to last so long with what those take who are not held. */
  roomLastsMsMin: millis(600_000),
  roomLookMs: millis(1_000),
  /** While there is not plenty. */
  roomLookMsShort: millis(250),
  /** A guest that QEMU itself holds is let go on no more often than this: what it waits for may be on another host. */
  roomAgainMs: millis(10_000),
} as const;
