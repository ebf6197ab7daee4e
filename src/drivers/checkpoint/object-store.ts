import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import type { BlobStore, TransferProgress } from "#drivers/blob/port.ts";
import { blobsOfAll } from "#model/checkpoint-chain.ts";
import type { CheckpointStore, KeptBefore, SavedCopies } from "#drivers/checkpoint/port.ts";
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
  async save(chain: CheckpointChain, before: KeptBefore, signal: AbortSignal): Promise<SavedCopies> {
    const { transfer, blobs, own } = this.#parts;
    const [newest] = chain;
    if (newest === undefined) return { copies: [], missing: [] };
    const present = new Set(await transfer.list(await this.#at(newest, partsFolder, signal), signal));
    const missing = blobsOfAll(chain).filter(({ digest }) => !present.has(partName(digest)));
    const elsewhere = missing.length === 0 ? [] : await this.#otherPlaces(newest, before.places, signal);
    for (const blob of missing) {
      if (!(await this.#copied(newest, blob, elsewhere, signal))) await this.#send(newest, blob, signal);
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

  async #send(newest: Checkpoint, { digest, sizeBytes }: BlobRef, signal: AbortSignal): Promise<void> {
    const { transfer, blobs, clock } = this.#parts;
    const began = clock.monotonic();
    await transfer.upload(blobs.path(digest), await this.#partAt(newest, digest, signal), () => {}, signal);
    this.#speed.note(sizeBytes, clock.monotonic() - began);
  }

  /**
   * What of this appliance the store has in other places: where it came from another host, that one's. Such a place is
   * only a help, so it may as well be gone.
   */
  async #otherPlaces(
    newest: Checkpoint,
    places: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly OtherPlace[]> {
    const { transfer, place: own } = this.#parts;
    const others: OtherPlace[] = [];
    for (const place of new Set(places)) {
      if (place === own) continue;
      const at = await this.#at(newest, partsFolder, signal, place);
      const names = await transfer.list(at, signal).catch(() => {
        signal.throwIfAborted();
        return [];
      });
      others.push({ place, names: new Set(names) });
    }
    return others;
  }

  async #copied(
    newest: Checkpoint,
    { digest }: BlobRef,
    others: readonly OtherPlace[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const { transfer, blobs } = this.#parts;
    const other = others.find(({ names }) => names.has(partName(digest)));
    if (other === undefined) return false;
    const from = await this.#partAt(newest, digest, signal, other.place);
    const to = await this.#partAt(newest, digest, signal);
    return transfer.copy(from, to, blobs.path(digest), signal);
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

  #partAt(
    checkpoint: Checkpoint,
    digest: Digest,
    signal: AbortSignal,
    place = this.#parts.place,
  ): Promise<Place> {
    return this.#at(checkpoint, `${partsFolder}/${partName(digest)}`, signal, place);
  }

  async #at(
    { appliance }: Checkpoint,
    path: string,
    signal: AbortSignal,
    place = this.#parts.place,
  ): Promise<Place> {
    const secret = await this.#parts.secret(signal);
    const url = `${folderOf(place, appliance)}/${path}`;
    return { url, ...(secret === undefined ? {} : { secret }) };
  }
}

type OtherPlace = { readonly place: string; readonly names: ReadonlySet<string> };

export const partsFolder = "parts";
export const partName = (digest: Digest): string => digest.slice("sha256:".length);
export const recordName = (checkpoint: string): string => `${checkpoint}.json`;

/** Where an appliance's checkpoints lie below a place. */
export const folderOf = (place: string, appliance: ApplianceId): string =>
  `${place.replace(/\/+$/, "")}/${appliance}`;
