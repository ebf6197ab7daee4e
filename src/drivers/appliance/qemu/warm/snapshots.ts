import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { memoryFile } from "./template.ts";

const stateFile = "state";
const unfinished = ".making";
const rootUid = 0;

/** What a guest can be resumed from. */
export type Snapshot = { readonly key: string; readonly state: Uint8Array };

type Kept = { readonly key: string; readonly memoryBytes: number; usedAtMs: number };

/**
 * Snapshots as directories, whole or not there:
 *
 *   <directory>/<key>/memory    what the guest's memory was; machines map it, and keep their changes to themselves
 *   <directory>/<key>/state     of all its devices
 */
export class Snapshots {
  readonly #directory: string;
  readonly #kept = new Map<string, Kept>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Finds what an earlier manager has kept, and clears away what was half made. */
  recover(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const key of readdirSync(this.#directory)) {
      const memory = join(this.#directory, key, memoryFile);
      if (key.endsWith(unfinished) || !existsSync(memory)) {
        rmSync(join(this.#directory, key), { recursive: true, force: true });
        continue;
      }
      const { size, atimeMs } = lstatSync(memory);
      this.#kept.set(key, { key, memoryBytes: size, usedAtMs: atimeMs });
    }
  }

  has(key: string): boolean {
    return this.#kept.has(key);
  }

  keys(): readonly string[] {
    return [...this.#kept.keys()];
  }

  /**
   * Takes over the memory file of a machine that has been stopped; it is taken away from there at once.
   * @throws driver_failed when it is not what QEMU made: whoever broke out of its guest may write there
   */
  claim(key: string, machineDirectory: string, memoryBytes: number): void {
    const making = this.#making(key);
    rmSync(making, { recursive: true, force: true });
    mkdirSync(making, { mode: 0o700 });
    const memory = join(making, memoryFile);
    renameSync(join(machineDirectory, memoryFile), memory);
    const found = lstatSync(memory);
    if (!found.isFile() || found.nlink !== 1 || found.size !== memoryBytes)
      throw new ConsortError("driver_failed", "Cannot keep a snapshot: its memory is not the file QEMU made");
    chownSync(memory, rootUid, rootUid);
    // QEMU opens it for writing, whoever's it is, but maps it for itself; only those it is given to can reach it.
    chmodSync(memory, 0o666);
  }

  /** Nobody writes to its memory any more. */
  keep(key: string, state: Uint8Array, nowMs: number): void {
    const making = this.#making(key);
    writeFileSync(join(making, stateFile), state, { mode: 0o600 });
    const { size } = lstatSync(join(making, memoryFile));
    renameSync(making, join(this.#directory, key));
    this.#kept.set(key, { key, memoryBytes: size, usedAtMs: nowMs });
  }

  /** Gives its memory another name, in a machine's directory. Undefined: it is not there. */
  use(key: string, name: string, nowMs: number): Snapshot | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    const memory = join(this.#directory, key, memoryFile);
    rmSync(name, { force: true });
    linkSync(memory, name);
    kept.usedAtMs = nowMs;
    utimesSync(memory, nowMs / 1000, lstatSync(memory).mtimeMs / 1000);
    return { key, state: readFileSync(join(this.#directory, key, stateFile)) };
  }

  forget(key: string): void {
    this.#kept.delete(key);
    rmSync(this.#making(key), { recursive: true, force: true });
    rmSync(join(this.#directory, key), { recursive: true, force: true });
  }

  /** Those that were used longest ago go until one more fits. Machines that run keep what they have of them. */
  makeRoom(memoryBytes: number, most: { readonly count: number; readonly memoryBytes: number }): void {
    const oldestFirst = [...this.#kept.values()].toSorted((a, b) => a.usedAtMs - b.usedAtMs);
    let taken = oldestFirst.reduce((sum, one) => sum + one.memoryBytes, memoryBytes);
    for (const { key, memoryBytes: given } of oldestFirst) {
      if (this.#kept.size < most.count && taken <= most.memoryBytes) return;
      this.forget(key);
      taken -= given;
    }
  }

  #making(key: string): string {
    return join(this.#directory, `${key}${unfinished}`);
  }
}
