/** Named limits of images from outside; docs/reference/limits.md explains them. */
export const imageLimits = {
  /** What a guest sees as its disk's size. */
  diskBytesMax: 2 * 1024 ** 4,
  /** Address space of the program that looks into a disk, and its processor time. */
  probeAddressBytesMax: 1024 ** 3,
  probeCpuSeconds: 10,
  /** What it tells: of a disk with thousands of snapshots and bitmaps that would be without end. */
  probeOutputBytesMax: 256 * 1024,
  /** One description of an image, found at an address. */
  manifestBytesMax: 64 * 1024,
  /** Images found at one address. */
  discoveredMax: 200,
  /** What was brought in part and not gone on with for so long is removed. */
  partKeptHours: 24,
} as const;
