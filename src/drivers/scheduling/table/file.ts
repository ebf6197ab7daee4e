import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  realpathSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { join } from "node:path";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { capacity, layoutNumber, offsets, word } from "./memory.ts";

const sharedMemory = "/dev/shm";
const tmpfs = 0x01021994;
const hashLength = 16;
const namePrefix = "consort-table-";

/**
 * Where the table that belongs to an owner's directory lies: in memory, as writing to a file on a disk may have to wait
 * for that. Its name follows from the directory, so that the next owner finds it; what an earlier version of the layout
 * left is removed, and its dispatcher ends when it sees that.
 */
export function tableFile(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const place = isInMemory(directory) || !isInMemory(sharedMemory) ? directory : sharedMemory;
  const hash = createHash("sha256").update(realpathSync(directory)).digest("hex").slice(0, hashLength);
  const prefix = `${namePrefix}${hash}-`;
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

/** Tables that nobody has any more: their dispatcher is dead, and their owner's directory gone. */
export function removeAbandonedTables(): void {
  if (!isInMemory(sharedMemory)) return;
  for (const name of readdirSync(sharedMemory)) {
    const file = join(sharedMemory, name);
    if (name.startsWith(namePrefix) && isAbandoned(file)) rmSync(file, { force: true });
  }
}

function isAbandoned(file: string): boolean {
  try {
    const fd = openSync(file, "r");
    try {
      const dispatcher = Buffer.alloc(12);
      const path = Buffer.alloc(capacity.pathBytes);
      readSync(fd, dispatcher, 0, dispatcher.length, 4 * (offsets.header + word.dispatcherPid));
      readSync(fd, path, 0, path.length, 4 * offsets.directory);
      const end = path.indexOf(0);
      const directory = path.subarray(0, end < 0 ? path.length : end).toString();
      if (directory === "" || existsSync(directory)) return false;
      return readStartTime(dispatcher.readInt32LE(0)) !== String(dispatcher.readBigInt64LE(4));
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

function isInMemory(directory: string): boolean {
  return existsSync(directory) && statfsSync(directory).type === tmpfs;
}
