import { mebibytes } from "#base/units.ts";

export const contextLimits = {
  /** Files, keys and command of one guest, all together. */
  contextBytesMax: mebibytes(16),
  /** What a guest tells in one line at most; longer ones are cut off. */
  lineLengthMax: 256,
} as const;
