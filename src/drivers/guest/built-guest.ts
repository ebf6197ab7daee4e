import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { bytes } from "#base/units.ts";
import type { RunOptions, Subprocess } from "#drivers/system/port.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { BlobRef, Digest, Image } from "#model/image.ts";

/** Kept beside the content; written last. */
type Record = { readonly image: Image; readonly files: { readonly [digest: string]: string } };
const recordFile = "image.json";

export type GuestBuild = {
  readonly kind: string;
  /** Of everything that goes into it: another one, another image. 64 hexadecimal digits. */
  readonly inputs: string;
  /**
   * Makes its content below the directory, and tells the files' names. A program that gets `held` among its open files
   * keeps others from beginning the same build while it runs, also when we are killed.
   */
  readonly make: (
    directory: string,
    held: Pick<RunOptions, "inherit">,
  ) => Promise<{ readonly image: Image; readonly names: ReadonlyMap<Digest, string> }>;
};

/**
 * The same inputs are built once: the second caller finds what the first one made, and waits for it while it is being
 * made. Killed at any moment, nothing half made is ever taken for whole.
 */
export async function buildOnce(
  cache: string,
  build: GuestBuild,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<BuiltGuest> {
  const directory = join(cache, `${build.kind}-${build.inputs.slice(0, 16)}`);
  const found = await readBuilt(directory);
  if (found !== undefined) return found;
  await mkdir(cache, { recursive: true });
  const lock = openSync(`${directory}.lock`, "a+");
  try {
    // The lock is of the open file that both hold, so it stays when the program has ended, and goes when we do.
    await subprocess.check("flock", ["--exclusive", "3"], signal, { inherit: [lock] });
    const meanwhile = await readBuilt(directory);
    if (meanwhile !== undefined) return meanwhile;
    const unfinished = `${directory}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    const { image, names } = await build.make(unfinished, { inherit: [lock] });
    await writeDurably(
      join(unfinished, recordFile),
      JSON.stringify({ image, files: Object.fromEntries(names) } satisfies Record),
    );
    await rm(directory, { recursive: true, force: true });
    await rename(unfinished, directory);
  } finally {
    closeSync(lock);
  }
  const built = await readBuilt(directory);
  if (built === undefined) throw new Error(`${directory} vanished`);
  return built;
}

async function readBuilt(directory: string): Promise<BuiltGuest | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, recordFile), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const { image, files } = JSON.parse(text) as Record;
  const entries = Object.entries(files).map(
    ([digest, name]) => [digest as Digest, join(directory, name)] as const,
  );
  return { image, files: new Map(entries) };
}

async function writeDurably(file: string, text: string): Promise<void> {
  const opened = await open(file, "w", 0o644);
  try {
    await opened.writeFile(text);
    await opened.sync();
  } finally {
    await opened.close();
  }
}

/** Of a file's content. */
export async function blobOf(file: string, signal: AbortSignal): Promise<BlobRef> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash, { signal });
  return { digest: `sha256:${hash.digest("hex")}`, sizeBytes: bytes((await stat(file)).size) };
}
