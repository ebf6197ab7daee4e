import { mebibytes, millis } from "#base/units.ts";

export const layerLimits = {
  /** What ready-made layers of a host may take on its disk, all together. */
  spoolBytesMax: mebibytes(2048),
  /** Ready-made layers of one shape. */
  spoolPerShapeMax: 8,
  /** Shapes that are kept ready: those used last. */
  spoolShapesMax: 16,
  /** As many are kept ready as were taken within this time, and one more. */
  spoolDemandMs: millis(60_000),
  /** A shape nobody asked for this long is not kept any more. */
  spoolIdleMs: millis(3_600_000),
} as const;
