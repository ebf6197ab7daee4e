import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { dirname } from "node:path";
import { ConsortError } from "#base/errors.ts";

const ofOthers = 0o077;
const writableByOthers = 0o022;
const sticky = 0o1000;
const root = 0;

/**
 * A directory that nobody else may write to or stand in for, made where it is missing: what is in it is carried out
 * with our rights. @throws driver_failed where another user had it before us, or could
 */
export function makeOwnDirectory(directory: string): void {
  const above = dirname(directory);
  mkdirSync(above, { recursive: true, mode: 0o700 });
  const outer = statSync(above);
  const isSafe = (outer.mode & writableByOthers) === 0 || (outer.mode & sticky) !== 0;
  if (!isSafe || (outer.uid !== root && outer.uid !== process.geteuid?.())) throw refused(above, outer);
  try {
    mkdirSync(directory, 0o700);
  } catch (error) {
    if (systemCodeOf(error) !== "EEXIST") throw error;
  }
  const found = lstatSync(directory);
  if (!found.isDirectory() || !isOurs(found)) throw refused(directory, found);
}

/**
 * Opens a file for reading and writing, made where it is missing, that is nobody's but ours: no link to another one,
 * and under no second name. @throws driver_failed
 */
export function openOwnFile(file: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let fd: number;
  try {
    fd = openSync(file, flags, 0o600);
  } catch (error) {
    if (systemCodeOf(error) === "ELOOP") throw refused(file, lstatSync(file));
    throw error;
  }
  const found = fstatSync(fd);
  if (isOwnFile(found)) return fd;
  closeSync(fd);
  throw refused(file, found);
}

export function isOwnFile(found: Stats): boolean {
  return found.isFile() && isOurs(found) && found.nlink === 1;
}

function isOurs({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & ofOthers) === 0;
}

function refused(path: string, { uid, mode, nlink }: Stats): ConsortError {
  const what = `user ${uid}, mode ${(mode & 0o7777).toString(8)}, ${nlink} names`;
  return new ConsortError(
    "driver_failed",
    `Cannot use ${path}: it is of ${what}, wanted what only user ${process.geteuid?.()} may change`,
  );
}

function systemCodeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
