import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  realpathSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { join } from "node:path";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { isOwnFile, makeOwnDirectory } from "../own-files.ts";
import { capacity, layoutNumber, offsets, word } from "./memory.ts";

const sharedMemory = "/dev/shm";
const tmpfs = 0x01021994;
const hashLength = 16;
const namePrefix = "consort-table-";

/**
 * Where the table that belongs to an owner's directory lies: in memory, as writing to a file on a disk may have to wait
 * for that. Its name follows from the directory, so that the next owner finds it; what an earlier version of the layout
 * left is removed, and its dispatcher ends when it sees that. @throws driver_failed when the directory is not ours
 */
export function tableFile(directory: string): string {
  makeOwnDirectory(directory);
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

/** What another user put where our table is to be is of no use to anybody; in a directory of all, only root may do so. */
export function removeOfOthers(file: string): void {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found !== undefined && !isOwnFile(found)) rmSync(file, { force: true });
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
    // Whoever made a pipe or a link of such a name is not to hold us up.
    const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      if (!isOwnFile(fstatSync(fd))) return false;
      const header = Buffer.alloc(4 * word.words);
      readSync(fd, header, 0, header.length, 4 * offsets.header);
      const isOfLayout = file.endsWith(`-${layoutNumber.toString(16)}`);
      const directory = directoryIn(fd);
      if (!isOfLayout || directory === "") return !isMapped(file);
      return !existsSync(directory) && isDispatcherGone(header);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

function directoryIn(fd: number): string {
  const path = Buffer.alloc(capacity.pathBytes);
  readSync(fd, path, 0, path.length, 4 * offsets.directory);
  const end = path.indexOf(0);
  return path.subarray(0, end < 0 ? path.length : end).toString();
}

function isDispatcherGone(header: Buffer): boolean {
  const at = 4 * word.dispatcherPid;
  return readStartTime(header.readInt32LE(at)) !== String(header.readBigInt64LE(at + 4));
}

/** Of a table of another layout, or just begun, nothing can be told but whether anybody uses it. */
function isMapped(file: string): boolean {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return processes.some((pid) => {
    try {
      return readFileSync(`/proc/${pid}/maps`, "latin1").includes(file);
    } catch {
      // It has ended, or is none of ours, as we may look into those.
      return false;
    }
  });
}

function isInMemory(directory: string): boolean {
  return existsSync(directory) && statfsSync(directory).type === tmpfs;
}
