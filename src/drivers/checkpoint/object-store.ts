import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import type { BlobStore, TransferProgress } from "#drivers/blob/port.ts";
import { blobsOfAll } from "#model/checkpoint-chain.ts";
import type { CheckpointStore, SavedCopies } from "#drivers/checkpoint/port.ts";
import { Speed } from "#drivers/checkpoint/speed.ts";
import type { Place, Secret, Transfer } from "#drivers/transfer/port.ts";
import type { CheckpointChain } from "#model/checkpoint-chain.ts";
import type { Checkpoint, CheckpointCopies } from "#model/checkpoint.ts";
import type { BlobRef, Digest } from "#model/image.ts";

export type ObjectStoreParts = {
  /** "s3://bucket/prefix". */
  readonly url: string;
  /** Asked for each time: it may have been changed. */
  readonly secret: (signal: AbortSignal) => Promise<Secret | undefined>;
  readonly transfer: Transfer;
  readonly blobs: BlobStore;
  readonly clock: Clock;
};

/**
 *   <url>/<ensemble>/<appliance>/parts/<64 hex digits>      content
 *   <url>/<ensemble>/<appliance>/<checkpoint>.json          the record, written last and removed first
 */
export class ObjectStore implements CheckpointStore {
  readonly #parts: ObjectStoreParts;
  readonly #speed: Speed;
  /** Sent since this began, or found there. */
  readonly #there = new Set<Digest>();

  constructor(parts: ObjectStoreParts, speed: Speed) {
    this.#parts = parts;
    this.#speed = speed;
  }

  get speedBps(): number | undefined {
    return this.#speed.bps;
  }

  async save(chain: CheckpointChain, _before: readonly HostId[], signal: AbortSignal): Promise<SavedCopies> {
    const { transfer, blobs, clock } = this.#parts;
    const [newest] = chain;
    if (newest === undefined) return { copies: [], missing: [] };
    const present = new Set(await transfer.list(await this.#at(newest, "parts", signal), signal));
    for (const { digest, sizeBytes } of blobsOfAll(chain)) {
      if (this.#there.has(digest) && present.has(nameOf(digest))) continue;
      const began = clock.monotonic();
      await transfer.upload(
        blobs.path(digest),
        await this.#at(newest, `parts/${nameOf(digest)}`, signal),
        () => {},
        signal,
      );
      this.#speed.note(sizeBytes, clock.monotonic() - began);
      this.#there.add(digest);
    }
    const draft = join(blobs.workshop, `${encodeURIComponent(newest.appliance)}-${newest.id}.json`);
    try {
      await writeFile(draft, JSON.stringify(newest));
      await transfer.upload(draft, await this.#at(newest, `${newest.id}.json`, signal), () => {}, signal);
    } finally {
      await rm(draft, { force: true });
    }
    return { copies: [], missing: [] };
  }

  async fetch(
    chain: CheckpointChain,
    _copies: CheckpointCopies,
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const [newest] = chain;
    if (newest === undefined) return;
    const missing = blobsOfAll(chain).filter(({ digest }) => !this.#parts.blobs.has(digest));
    const totalBytes = missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let doneBytes = 0;
    for (const blob of missing) {
      await this.#bring(newest, blob, signal);
      doneBytes += blob.sizeBytes;
      onProgress({ doneBytes, totalBytes });
    }
  }

  async #bring(newest: Checkpoint, { digest, sizeBytes }: BlobRef, signal: AbortSignal): Promise<void> {
    const { blobs, transfer } = this.#parts;
    const file = join(blobs.workshop, `part-${encodeURIComponent(newest.appliance)}-${nameOf(digest)}`);
    try {
      const expected = { sha256: nameOf(digest), sizeBytesMax: sizeBytes };
      await transfer.download(
        await this.#at(newest, `parts/${nameOf(digest)}`, signal),
        file,
        expected,
        () => {},
        signal,
      );
      const kept = await blobs.adopt(file, signal);
      if (kept.digest !== digest) {
        throw new ConsortError("bad_input", `Cannot restore from ${newest.id}: ${digest} is ${kept.digest}`);
      }
    } finally {
      await rm(file, { force: true });
    }
  }

  async forget(checkpoint: Checkpoint, kept: readonly Checkpoint[], signal: AbortSignal): Promise<void> {
    const { transfer } = this.#parts;
    const isKept = new Set(blobsOfAll(kept).map(({ digest }) => digest));
    if (!kept.some(({ id }) => id === checkpoint.id)) {
      await transfer.remove(await this.#at(checkpoint, `${checkpoint.id}.json`, signal), signal);
    }
    for (const { digest } of blobsOfAll([checkpoint])) {
      if (isKept.has(digest)) continue;
      await transfer.remove(await this.#at(checkpoint, `parts/${nameOf(digest)}`, signal), signal);
      this.#there.delete(digest);
    }
  }

  async #at({ appliance }: Checkpoint, path: string, signal: AbortSignal): Promise<Place> {
    const secret = await this.#parts.secret(signal);
    const url = `${this.#parts.url.replace(/\/+$/, "")}/${appliance}/${path}`;
    return { url, ...(secret === undefined ? {} : { secret }) };
  }
}

const nameOf = (digest: Digest): string => digest.slice("sha256:".length);
