import { mebibytes } from "#base/units.ts";

/** What is left out of a vm. The reader fills these in; the writer leaves them out again. */
export const vmDefaults = {
  image: "tiny",
  machine: "auto",
  accel: "auto",
  start: "auto",
  tinyMemoryBytes: mebibytes(128),
  memoryBytes: mebibytes(512),
  checkpointCopies: 1,
  checkpointsKept: 2,
} as const;
