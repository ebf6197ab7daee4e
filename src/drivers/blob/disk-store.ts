import { createHash } from "node:crypto";
import { existsSync, renameSync, rmSync } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { bytes, formatBytes } from "#base/units.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import { digestOf, digestOfFile, fileNameOf } from "./digests.ts";
import { checkSpace, freeBytes, syncDirectory, writeSparse } from "./disk-file.ts";
import { blobLimits } from "./limits.ts";
import type { BlobStore } from "./port.ts";
import { bearsStamp, stampedName, stampPath, writeStamp } from "./stamps.ts";

const ownerOnly = 0o700;
const readOnly = 0o444;
/** Free space is looked at again after so many bytes. */
const spaceCheckBytes = 32 * 1024 ** 2;

export type DiskStoreOptions = {
  readonly directory: string;
  readonly log: Log;
  readonly reserveBytes?: number;
  readonly blobBytesMax?: number;
};

/**
 *   <directory>/blobs/<64 hex digits>         complete and checked, read-only
 *   <directory>/stamps/<64 hex digits>.stamp  what such a file looked like when it was checked
 *   <directory>/incoming/                     being written by `put`; cleared by `recover`
 *   <directory>/pieces/                       fetched in part (piece-file.ts)
 *   <directory>/workshop/                     files of others, to be adopted
 *
 * A blob appears by a rename, after its content is durable.
 */
export class DiskBlobStore implements BlobStore {
  readonly #directory: string;
  readonly #log: Log;
  readonly #reserveBytes: number;
  readonly #bytesMax: number;
  readonly #blobs = new Map<Digest, BlobRef>();
  readonly #listeners: ((digest: Digest) => void)[] = [];
  #incoming = 0;

  constructor({ directory, log, reserveBytes, blobBytesMax }: DiskStoreOptions) {
    this.#directory = directory;
    this.#log = log;
    this.#reserveBytes = reserveBytes ?? blobLimits.diskReserveBytes;
    this.#bytesMax = blobBytesMax ?? blobLimits.blobBytesMax;
  }

  get workshop(): string {
    return this.#below("workshop");
  }

  /** For blobs that arrive in pieces. */
  get pieces(): string {
    return this.#below("pieces");
  }

  async recover(signal: AbortSignal): Promise<void> {
    await rm(this.#below("incoming"), { recursive: true, force: true });
    for (const folder of ["blobs", "stamps", "incoming", "pieces", "workshop"]) {
      await mkdir(this.#below(folder), { recursive: true, mode: ownerOnly });
    }
    this.#blobs.clear();
    for (const name of await readdir(this.#below("blobs"))) {
      signal.throwIfAborted();
      await this.#find(name, signal);
    }
    for (const file of await readdir(this.#below("stamps"))) {
      const digest = digestOf(stampedName(file) ?? "");
      if (digest === undefined || !this.#blobs.has(digest))
        await rm(join(this.#below("stamps"), file), { force: true });
    }
  }

  has(digest: Digest): boolean {
    return this.#blobs.has(digest);
  }

  path(digest: Digest): string {
    if (this.#blobs.has(digest)) return this.#blobFile(digest);
    throw new ConsortError("not_found", `Cannot read ${digest}: this host has no such content`);
  }

  list(): readonly BlobRef[] {
    return [...this.#blobs.values()];
  }

  onTaken(listener: (digest: Digest) => void): void {
    this.#listeners.push(listener);
  }

  /** It was brought here. */
  taken(digest: Digest): void {
    for (const listener of this.#listeners) listener(digest);
  }

  async roomBytes(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    return (await freeBytes(this.#directory)) - this.#reserveBytes;
  }

  async put(
    content: AsyncIterable<Uint8Array>,
    expected: Partial<BlobRef>,
    signal: AbortSignal,
  ): Promise<BlobRef> {
    signal.throwIfAborted();
    const there = expected.digest === undefined ? undefined : this.#blobs.get(expected.digest);
    if (there !== undefined) {
      this.taken(there.digest);
      return there;
    }
    await this.checkRoom(expected.sizeBytes ?? 0);
    this.#incoming += 1;
    const draft = join(this.#below("incoming"), `${process.pid}-${this.#incoming}`);
    try {
      const blob = await this.#write(draft, content, expected, signal);
      if (expected.digest !== undefined && blob.digest !== expected.digest)
        throw new ConsortError("bad_input", `Cannot keep ${expected.digest}: the content is ${blob.digest}`);
      return await this.settle(draft, blob);
    } finally {
      await rm(draft, { force: true });
    }
  }

  async adopt(file: string, signal: AbortSignal): Promise<BlobRef> {
    const seen = await lstat(file);
    if (!seen.isFile() || seen.nlink !== 1)
      throw new ConsortError(
        "bad_input",
        `Cannot keep ${file}: it is no file with one name, which was wanted`,
      );
    this.#checkSize(seen.size);
    const digest = await digestOfFile(file, signal);
    return this.settle(file, { digest, sizeBytes: bytes(seen.size) });
  }

  async remove(digest: Digest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#blobs.delete(digest)) return;
    // At once: the same may be brought here again while its file is being removed.
    this.#incoming += 1;
    const going = join(this.#below("incoming"), `${process.pid}-${this.#incoming}`);
    rmSync(this.#stampFile(digest), { force: true });
    const file = this.#blobFile(digest);
    if (existsSync(file)) renameSync(file, going);
    await rm(going, { force: true });
    await syncDirectory(this.#below("blobs"));
  }

  /** @throws bad_input for a blob larger than any may be, limit_exceeded when the disk is too full for it */
  async checkRoom(sizeBytes: number): Promise<void> {
    this.#checkSize(sizeBytes);
    await checkSpace(this.#directory, sizeBytes, this.#reserveBytes);
  }

  /** The file is gone from where it was afterwards. */
  async settle(file: string, blob: BlobRef): Promise<BlobRef> {
    this.taken(blob.digest);
    const there = this.#blobs.get(blob.digest);
    if (there !== undefined) {
      await rm(file, { force: true });
      return there;
    }
    await chmod(file, readOnly);
    await syncFile(file);
    await rename(file, this.#blobFile(blob.digest));
    await syncDirectory(this.#below("blobs"));
    await syncDirectory(dirname(file));
    this.#blobs.set(blob.digest, blob);
    await writeStamp(this.#stampFile(blob.digest), this.#blobFile(blob.digest));
    return blob;
  }

  async #write(
    draft: string,
    content: AsyncIterable<Uint8Array>,
    expected: Partial<BlobRef>,
    signal: AbortSignal,
  ): Promise<BlobRef> {
    const sizeMax = expected.sizeBytes ?? this.#bytesMax;
    const hash = createHash("sha256");
    const file = await open(draft, "wx", 0o600);
    try {
      let size = 0;
      let checkedAt = 0;
      for await (const chunk of untilAborted(content, signal)) {
        this.#checkSize(size + chunk.length);
        if (size + chunk.length > sizeMax) throw wrongSize("more", sizeMax);
        hash.update(chunk);
        await writeSparse(file, chunk, size);
        size += chunk.length;
        if (size - checkedAt >= spaceCheckBytes) {
          await checkSpace(this.#directory, 0, this.#reserveBytes);
          checkedAt = size;
        }
      }
      if (expected.sizeBytes !== undefined && size < expected.sizeBytes)
        throw wrongSize(formatBytes(bytes(size)), expected.sizeBytes);
      await file.truncate(size);
      return { digest: `sha256:${hash.digest("hex")}`, sizeBytes: bytes(size) };
    } finally {
      await file.close();
    }
  }

  /** What lies there from before: taken over if it is what its name says, else cleared away. */
  async #find(name: string, signal: AbortSignal): Promise<void> {
    const file = join(this.#below("blobs"), name);
    const digest = digestOf(name);
    const seen = await lstat(file);
    if (digest !== undefined && seen.isFile()) {
      const stamp = this.#stampFile(digest);
      const checked = await bearsStamp(stamp, file);
      if (checked || (await digestOfFile(file, signal)) === digest) {
        if (!checked) await writeStamp(stamp, file);
        this.#blobs.set(digest, { digest, sizeBytes: bytes(seen.size) });
        return;
      }
    }
    this.#log.warn(`Removed ${file}: it is not what its name says`);
    await rm(file, { recursive: true, force: true });
  }

  #checkSize(sizeBytes: number): void {
    if (sizeBytes <= this.#bytesMax) return;
    throw new ConsortError(
      "bad_input",
      `Cannot keep content of ${formatBytes(bytes(sizeBytes))} or more: at most ${formatBytes(bytes(this.#bytesMax))} were wanted`,
    );
  }

  #below(folder: string): string {
    return join(this.#directory, folder);
  }

  #blobFile(digest: Digest): string {
    return join(this.#below("blobs"), fileNameOf(digest));
  }

  #stampFile(digest: Digest): string {
    return stampPath(this.#below("stamps"), fileNameOf(digest));
  }
}

const wrongSize = (is: string, wanted: number): ConsortError =>
  new ConsortError(
    "bad_input",
    `Cannot keep the content: ${is} came, ${formatBytes(bytes(wanted))} were wanted`,
  );

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Ends with the signal's reason, also while the source says nothing. */
async function* untilAborted(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = content[Symbol.asyncIterator]();
  let stop: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
  });
  aborted.catch(() => {});
  try {
    signal.throwIfAborted();
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    // Not awaited: a source that says nothing may not hear this either.
    void iterator.return?.().catch(() => {});
  }
}
