import { open, statfs } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes } from "#base/units.ts";
import { dataRuns } from "./holes.ts";

/** Writes into a file that held nothing there before, with holes for zeros. Resolves when the kernel has all of it. */
export async function writeSparse(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (const run of dataRuns(chunk, position)) {
    let written = 0;
    while (written < run.bytes.length) {
      const { bytesWritten } = await file.write(
        run.bytes,
        written,
        run.bytes.length - written,
        run.at + written,
      );
      written += bytesWritten;
    }
  }
}

/** Resolves when names made, changed and removed in it outlive a loss of power. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

/** @throws limit_exceeded when so many more bytes would leave less than `reserveBytes` free on the directory's disk */
export async function checkSpace(directory: string, moreBytes: number, reserveBytes: number): Promise<void> {
  const free = await freeBytes(directory);
  if (free - moreBytes >= reserveBytes) return;
  throw new ConsortError(
    "limit_exceeded",
    `Cannot keep ${formatBytes(bytes(moreBytes))} more in ${directory}: ${formatBytes(bytes(free))} are free, and ${formatBytes(bytes(reserveBytes))} stay free`,
  );
}
