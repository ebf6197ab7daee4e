import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { layoutNumber } from "./memory.ts";

const sharedMemory = "/dev/shm";
const tmpfs = 0x01021994;
const hashLength = 16;

/**
 * Where the table that belongs to an owner's directory lies: in memory, as writing to a file on a disk may have to wait
 * for that. Its name follows from the directory, so that the next owner finds it; what an earlier version of the layout
 * left is removed, and its dispatcher ends when it sees that.
 */
export function tableFile(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const hash = createHash("sha256").update(realpathSync(directory)).digest("hex").slice(0, hashLength);
  const place = isInMemory(sharedMemory) ? sharedMemory : directory;
  const prefix = `consort-table-${hash}-`;
  const name = `${prefix}${layoutNumber.toString(16)}`;
  for (const other of readdirSync(place)) {
    if (other.startsWith(prefix) && other !== name) rmSync(join(place, other), { force: true });
  }
  return join(place, name);
}

/** An earlier owner of this directory had a table. */
export function hasTable(directory: string): boolean {
  return existsSync(directory) && existsSync(tableFile(directory));
}

function isInMemory(directory: string): boolean {
  return existsSync(directory) && statfsSync(directory).type === tmpfs;
}
