import { createHash } from "node:crypto";
import type { Hash } from "node:crypto";
import { constants } from "node:fs";
import { open, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConsortError } from "#base/errors.ts";
import { InTurnByKey } from "#base/in-turn.ts";
import { bytes, formatBytes } from "#base/units.ts";
import { writeSparse } from "#drivers/blob/disk-file.ts";
import { digestOfFile, fileNameOf } from "#drivers/blob/digests.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { UploadPart } from "./port.ts";

/** Hashed at once; others get a turn in between. */
const zeros = Buffer.alloc(1024 * 1024);

/** Of the first so many bytes of an upload, while this process sees all of them. */
type Running = { readonly hash: Hash; hashedBytes: number };

/**
 * Content that arrives part by part, in a file of the store's workshop that is as long as what came. One part of it at a
 * time: two that bring the same content go on where the other one is, and neither writes into what the other wrote.
 */
export class Uploads {
  readonly #store: BlobStore;
  readonly #sizeBytesMax: number;
  readonly #turns = new InTurnByKey<string>();
  readonly #running = new Map<string, Running>();

  constructor(store: BlobStore, sizeBytesMax: number) {
    this.#store = store;
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** Resolves with how much of it is there, from its beginning. @throws bad_input, limit_exceeded */
  async append(part: UploadPart, signal: AbortSignal): Promise<number> {
    const { digest, sizeBytes } = part.blob;
    if (sizeBytes > this.#sizeBytesMax)
      throw new ConsortError(
        "bad_input",
        `Cannot take an upload of ${formatBytes(sizeBytes)}: at most ${formatBytes(bytes(this.#sizeBytesMax))} were wanted`,
      );
    // Who claims another size brings something else.
    const name = `upload-${fileNameOf(digest)}-${sizeBytes}`;
    return this.#turns.run(name, () => this.#append(name, part, signal));
  }

  /** Its file in the workshop was removed. */
  forget(name: string): void {
    this.#running.delete(name);
  }

  async #append(name: string, part: UploadPart, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const { blob, fromByte, data, zeroBytes } = part;
    if (this.#store.has(blob.digest)) return blob.sizeBytes;
    const path = join(this.#store.workshop, name);
    const moreBytes = data.length + zeroBytes;
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const { size } = await file.stat();
      // Whoever sends is told where to go on.
      if (fromByte !== size || fromByte + moreBytes > blob.sizeBytes) return size;
      if (size === 0) this.#running.set(name, { hash: createHash("sha256"), hashedBytes: 0 });
      if (data.length > (await this.#store.roomBytes(signal))) throw diskFull();
      await this.#write(name, file, part);
    } catch (cause) {
      this.#running.delete(name);
      if (!isDiskFull(cause)) throw cause;
      // What came of it is part of what fills the disk.
      await rm(path, { force: true });
      throw diskFull(cause);
    } finally {
      await file.close();
    }
    const haveBytes = fromByte + moreBytes;
    if (haveBytes === blob.sizeBytes) await this.#finish(name, part, signal);
    return haveBytes;
  }

  /** Zeros become holes, so a disk that is mostly empty takes no more space here than where it came from. */
  async #write(name: string, file: FileHandle, { fromByte, data, zeroBytes }: UploadPart): Promise<void> {
    const endByte = fromByte + data.length + zeroBytes;
    await writeSparse(file, data, fromByte);
    // Grown only now: had it died while it wrote, what is missing would look like zeros.
    await file.truncate(endByte);
    const running = this.#running.get(name);
    if (running?.hashedBytes !== fromByte) return;
    running.hash.update(data);
    for (let left = zeroBytes; left > 0; left -= zeros.length) {
      running.hash.update(left < zeros.length ? zeros.subarray(0, left) : zeros);
      await setImmediate();
    }
    running.hashedBytes = endByte;
  }

  /** Read again only if an earlier process saw a part of it. */
  async #finish(name: string, { blob }: UploadPart, signal: AbortSignal): Promise<void> {
    const path = join(this.#store.workshop, name);
    const running = this.#running.get(name);
    this.#running.delete(name);
    const seen =
      running?.hashedBytes === blob.sizeBytes
        ? `sha256:${running.hash.digest("hex")}`
        : await digestOfFile(path, signal);
    if (seen !== blob.digest) {
      await rm(path, { force: true });
      throw new ConsortError("bad_input", `Cannot keep the upload: it is ${seen}, ${blob.digest} was wanted`);
    }
    await this.#store.settle(path, blob);
  }
}

const fullCodes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "limit_exceeded"]);

const isDiskFull = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && fullCodes.has(cause.code);

const diskFull = (cause?: unknown): ConsortError =>
  new ConsortError(
    "limit_exceeded",
    "Cannot take more of an upload: this host's disk is too full, and what came of it was removed",
    { cause },
  );
