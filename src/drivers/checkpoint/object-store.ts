import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
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
  /** "s3://bucket/prefix/3f2a…", where nobody else writes. */
  readonly place: string;
  readonly own: HostId;
  /** Asked for each time: it may have been changed. */
  readonly secret: (signal: AbortSignal) => Promise<Secret | undefined>;
  readonly transfer: Transfer;
  readonly blobs: BlobStore;
  readonly clock: Clock;
};

/**
 *   <place>/<ensemble>/<appliance>/parts/<64 hex digits>      content
 *   <place>/<ensemble>/<appliance>/<checkpoint>.json          the record, written last and removed first
 *
 * What is not needed any more is removed by whoever sweeps (object-sweeper.ts), not here: only the cluster manager knows
 * what may still be gone on from.
 */
export class ObjectStore implements CheckpointStore {
  readonly #parts: ObjectStoreParts;
  readonly #speed: Speed;

  constructor(parts: ObjectStoreParts, speed: Speed) {
    this.#parts = parts;
    this.#speed = speed;
  }

  get speedBps(): number | undefined {
    return this.#speed.bps;
  }

  /** What the store lists is whole: it shows no object before all of it came and was checked. */
  async save(chain: CheckpointChain, _before: readonly HostId[], signal: AbortSignal): Promise<SavedCopies> {
    const { transfer, blobs, clock, own } = this.#parts;
    const [newest] = chain;
    if (newest === undefined) return { copies: [], missing: [] };
    const present = new Set(await transfer.list(await this.#at(newest, partsFolder, signal), signal));
    for (const { digest, sizeBytes } of blobsOfAll(chain)) {
      if (present.has(partName(digest))) continue;
      const began = clock.monotonic();
      await transfer.upload(blobs.path(digest), await this.#partAt(newest, digest, signal), () => {}, signal);
      this.#speed.note(sizeBytes, clock.monotonic() - began);
    }
    const draft = join(blobs.workshop, `${encodeURIComponent(newest.appliance)}-${recordName(newest.id)}`);
    try {
      await writeFile(draft, JSON.stringify(newest));
      await transfer.upload(draft, await this.#at(newest, recordName(newest.id), signal), () => {}, signal);
    } finally {
      await rm(draft, { force: true });
    }
    // It stays here as well: the next one differs from it, and what lies below is folded in one day.
    return { copies: [own], missing: [] };
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
    const file = join(blobs.workshop, `part-${encodeURIComponent(newest.appliance)}-${partName(digest)}`);
    try {
      const expected = { sha256: partName(digest), sizeBytesMax: sizeBytes };
      await transfer.download(await this.#partAt(newest, digest, signal), file, expected, () => {}, signal);
      const kept = await blobs.adopt(file, signal);
      if (kept.digest !== digest) {
        throw new ConsortError("bad_input", `Cannot restore from ${newest.id}: ${digest} is ${kept.digest}`);
      }
    } finally {
      await rm(file, { force: true });
    }
  }

  #partAt(checkpoint: Checkpoint, digest: Digest, signal: AbortSignal): Promise<Place> {
    return this.#at(checkpoint, `${partsFolder}/${partName(digest)}`, signal);
  }

  async #at({ appliance }: Checkpoint, path: string, signal: AbortSignal): Promise<Place> {
    const secret = await this.#parts.secret(signal);
    const url = `${folderOf(this.#parts.place, appliance)}/${path}`;
    return { url, ...(secret === undefined ? {} : { secret }) };
  }
}

export const partsFolder = "parts";
export const partName = (digest: Digest): string => digest.slice("sha256:".length);
export const recordName = (checkpoint: string): string => `${checkpoint}.json`;

/** Where an appliance's checkpoints lie below a place. */
export const folderOf = (place: string, appliance: ApplianceId): string =>
  `${place.replace(/\/+$/, "")}/${appliance}`;
