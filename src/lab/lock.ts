import { closeSync, fstatSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import koffi from "koffi";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";

const exclusive = 2;
const withoutWaiting = 4;
const pollMs = millis(10);
export const lockWaitMsMax = millis(30_000);

/**
 * One command at a time changes a lab, and one supervisor watches it. The lock is the kernel's (flock): it goes with
 * its holder, however that ends. A program started with `fd` among its open files holds it on, so that what outlives
 * a killed `lab up` for a moment is waited for by the next command.
 */
export type FileLock = Disposable & { readonly fd: number };

type Flock = (fd: number, operation: number) => number;
let loaded: Flock | undefined;
const flock: Flock = (fd, operation) => {
  loaded ??= koffi.load("libc.so.6").func("int flock(int fd, int operation)") as Flock;
  return loaded(fd, operation);
};

/** Undefined when another process holds it. The file's directory has to exist. */
export function tryLock(file: string): FileLock | undefined {
  const fd = openSync(file, "a+");
  if (flock(fd, exclusive | withoutWaiting) === 0 && isStill(file, fd)) {
    return { fd, [Symbol.dispose]: () => closeSync(fd) };
  }
  closeSync(fd);
  return undefined;
}

/** @throws conflict when another command holds it for longer than `lockWaitMsMax` */
export async function lockLab(
  file: string,
  lab: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<FileLock> {
  const deadline = clock.monotonic() + lockWaitMsMax;
  for (;;) {
    signal.throwIfAborted();
    // Again each time: the holder we waited for may have removed the directory.
    mkdirSync(dirname(file), { recursive: true });
    const lock = lockUnlessGone(file);
    if (lock !== undefined) return lock;
    if (clock.monotonic() > deadline) {
      throw new ConsortError(
        "conflict",
        `Cannot change lab ${lab}: another command has been changing it for ${lockWaitMsMax / 1000} s`,
      );
    }
    await clock.sleep(pollMs, signal);
  }
}

function lockUnlessGone(file: string): FileLock | undefined {
  try {
    return tryLock(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** The holder before us may have removed the lab, and the locked file with it. */
function isStill(file: string, fd: number): boolean {
  return statSync(file, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}
