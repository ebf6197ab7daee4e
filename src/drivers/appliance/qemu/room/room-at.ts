import { statfsSync } from "node:fs";
import { bytes } from "#base/units.ts";
import type { DiskRoom } from "./who-is-held.ts";

/** Of the file system that this directory is on. */
export function roomAt(directory: string): DiskRoom {
  const { bavail, blocks, bsize } = statfsSync(directory);
  return { freeBytes: bytes(bavail * bsize), totalBytes: bytes(blocks * bsize) };
}
