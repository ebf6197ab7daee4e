import { chmodSync, chownSync, existsSync, linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { digest } from "#base/digest.ts";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { insideDirectory } from "./command/spec.ts";

const rootUid = 0;

/**
 * The files of one machine:
 *
 *   <id>/machine.json        what we know of it; not to be seen by its QEMU
 *   <id>/machine/            /vm in its QEMU's root, which may make files here but not touch ours
 *   <id>/machine/blobs/      content it reads, as further names of what the blob store holds
 */
export class MachinePlace {
  readonly outer: string;
  /** What RunningVm calls its directory. */
  readonly directory: string;
  readonly #blobs: string;

  constructor(machines: string, id: ApplianceId) {
    this.outer = join(machines, encodeURIComponent(id));
    this.directory = join(this.outer, "machine");
    this.#blobs = join(this.directory, "blobs");
  }

  make(): void {
    mkdirSync(this.#blobs, { recursive: true, mode: 0o700 });
  }

  /** From now on the user of its slot may write there; whose files they are is kept apart. */
  giveTo(uid: number): void {
    chownSync(this.directory, rootUid, uid);
    chmodSync(this.directory, 0o1770);
    chownSync(this.#blobs, rootUid, uid);
    chmodSync(this.#blobs, 0o750);
  }

  /** The path inside of a file that is in the directory, or that is given another name there. */
  inside(file: string): string {
    if (file.startsWith(`${this.directory}/`)) return insideDirectory + file.slice(this.directory.length);
    const name = `${digest(file).slice(0, 12)}-${basename(file)}`;
    const own = join(this.#blobs, name);
    try {
      if (!existsSync(own)) linkSync(file, own);
    } catch (cause) {
      throw new ConsortError(
        "driver_failed",
        `Cannot give a machine ${file}: ${messageOf(cause)}, one file system for images and machines was wanted`,
        { cause },
      );
    }
    return `${insideDirectory}/blobs/${name}`;
  }

  remove(): void {
    rmSync(this.outer, { recursive: true, force: true });
  }
}

/** All that have files here, whatever became of them. */
export function machinesIn(machines: string): readonly ApplianceId[] {
  return readdirSync(machines).map((name) => decodeURIComponent(name) as ApplianceId);
}
