import { mebibytes } from "#base/units.ts";

export const contextLimits = {
  /** Files, keys and command of one guest, all together. */
  contextBytesMax: mebibytes(16),
  /** What a guest tells in one line at most; longer ones are cut off. */
  lineLengthMax: 256,
  /** What a guest has to tell is a few lines in its life: of more the rest waits for the next second. */
  heardBytesPerSecond: 16 * 1024,
} as const;
