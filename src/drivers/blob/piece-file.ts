import { open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { BlobRef, Digest } from "#model/image.ts";
import { digestOf, fileNameOf } from "./digests.ts";
import { writeSparse } from "./disk-file.ts";
import { blobLimits } from "./limits.ts";

const recordEnding = ".have";

/**
 * A blob that arrives in pieces, in any order, on disk: a file of its full size, and beside it a record with one line
 * for each piece that is there. A piece is recorded after its content was written, so a death at any moment costs at
 * most the pieces under way. What a loss of power does to it shows when the whole is checked.
 */
export class PieceFile {
  readonly path: string;
  readonly #blob: BlobRef;
  readonly #content: FileHandle;
  readonly #record: FileHandle;
  readonly #have: Set<number>;

  static async open(directory: string, blob: BlobRef): Promise<PieceFile> {
    const path = join(directory, fileNameOf(blob.digest));
    const have = await readRecord(path, blob);
    if (have.size === 0) await writeFile(path, "", { mode: 0o600 });
    // Written anew, as its last line may have been cut off.
    const lines = [headOf(blob), ...have].map((line) => `${line}\n`);
    await writeFile(`${path}${recordEnding}.new`, lines.join(""), { mode: 0o600 });
    await rename(`${path}${recordEnding}.new`, `${path}${recordEnding}`);
    const content = await open(path, "r+");
    await content.truncate(blob.sizeBytes);
    return new PieceFile(path, blob, content, await open(`${path}${recordEnding}`, "a"), have);
  }

  private constructor(
    path: string,
    blob: BlobRef,
    content: FileHandle,
    record: FileHandle,
    have: Set<number>,
  ) {
    this.path = path;
    this.#blob = blob;
    this.#content = content;
    this.#record = record;
    this.#have = have;
  }

  /** Numbers of the pieces that are not there yet. */
  missing(): number[] {
    const numbers = Array.from({ length: pieceCount(this.#blob) }, (_, index) => index);
    return numbers.filter((index) => !this.#have.has(index));
  }

  /** Of the pieces that are there. */
  get doneBytes(): number {
    return [...this.#have].reduce((sum, index) => sum + pieceRange(this.#blob, index).sizeBytes, 0);
  }

  async write(chunk: Uint8Array, position: number): Promise<void> {
    await writeSparse(this.#content, chunk, position);
  }

  /** All of this piece was written. */
  async complete(index: number): Promise<void> {
    await this.#record.write(`${index}\n`);
    this.#have.add(index);
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#content.close(), this.#record.close()]);
  }
}

export type PieceRange = { readonly begin: number; readonly sizeBytes: number };

export const pieceCount = (blob: BlobRef): number => Math.ceil(blob.sizeBytes / blobLimits.blobPieceBytes);

export function pieceRange(blob: BlobRef, index: number): PieceRange {
  const begin = index * blobLimits.blobPieceBytes;
  return { begin, sizeBytes: Math.min(blobLimits.blobPieceBytes, blob.sizeBytes - begin) };
}

/** Both files, whatever they hold. */
export async function removePieces(directory: string, digest: Digest): Promise<void> {
  const path = join(directory, fileNameOf(digest));
  for (const file of [`${path}${recordEnding}`, `${path}${recordEnding}.new`, path])
    await rm(file, { force: true });
}

/** Blobs that are there in part, and when each last grew (wall clock, ms since the epoch). */
export async function partsIn(directory: string): Promise<ReadonlyMap<Digest, number>> {
  const found = new Map<Digest, number>();
  for (const name of await readdir(directory)) {
    const digest = digestOf(name.split(".")[0] ?? "");
    if (digest === undefined) continue;
    const { mtimeMs } = await stat(join(directory, name)).catch(() => ({ mtimeMs: 0 }));
    found.set(digest, Math.max(mtimeMs, found.get(digest) ?? 0));
  }
  return found;
}

const headOf = (blob: BlobRef): string => `${blob.sizeBytes} ${blobLimits.blobPieceBytes}`;

async function readRecord(path: string, blob: BlobRef): Promise<Set<number>> {
  const text = await readFile(`${path}${recordEnding}`, "utf8").catch(() => "");
  const there = await stat(path).catch(() => undefined);
  // What follows the last line's end was cut off.
  const [head, ...lines] = text.split("\n").slice(0, -1);
  if (head !== headOf(blob) || there?.size !== blob.sizeBytes) return new Set();
  const count = pieceCount(blob);
  return new Set(lines.filter((line) => /^\d+$/.test(line) && Number(line) < count).map(Number));
}
