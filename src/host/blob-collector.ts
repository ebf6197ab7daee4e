import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { BlobExchange, BlobStore } from "#drivers/blob/port.ts";
import type { ImageSource } from "#drivers/image/port.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import type { CollectResult } from "#protocol/topics.ts";

/**
 * Which blobs are removed now. `idleMs`: for how long each one was known to be needed by nothing; those that were only
 * now seen so are not in it. In order: what was needed least lately goes first, until there is room again. Pure.
 */
export function blobsToRemove(
  blobs: readonly BlobRef[],
  idleMs: ReadonlyMap<Digest, number>,
  room: { readonly roomBytes: number; readonly asked: boolean },
): readonly BlobRef[] {
  const idle = blobs
    .map((blob) => ({ blob, ms: idleMs.get(blob.digest) ?? 0 }))
    .filter(({ ms }) => ms >= limits.blobGraceMs)
    .sort((a, b) => b.ms - a.ms);
  if (room.asked) return idle.map(({ blob }) => blob);
  let missing = limits.blobRoomBytesMin - room.roomBytes;
  return idle
    .filter(({ blob, ms }) => {
      if (ms >= limits.blobIdleMs) return true;
      if (missing <= 0) return false;
      missing -= blob.sizeBytes;
      return true;
    })
    .map(({ blob }) => blob);
}

type CollectorParts = {
  readonly store: BlobStore;
  readonly exchange: BlobExchange;
  readonly images: ImageSource;
  readonly clock: Clock;
  readonly log: Log;
};

/** Removes content that nothing on this host needs any more, once it has been so for a while. */
export class BlobCollector {
  readonly #parts: CollectorParts;
  readonly #keep: () => ReadonlySet<Digest> | undefined;
  /** Since when (monotonic) nothing needs it. Begins anew with this process: nothing is removed too early. */
  readonly #idleSince = new Map<Digest, number>();

  /** `keep`: what is needed now; undefined while that is not known. */
  constructor(parts: CollectorParts, keep: () => ReadonlySet<Digest> | undefined) {
    this.#parts = parts;
    this.#keep = keep;
    parts.store.onTaken((digest) => this.#idleSince.delete(digest));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, exchange, images } = this.#parts;
    while (!signal.aborted) {
      try {
        await this.#remove(false, signal);
        await exchange.forgetOthers(this.#keep() ?? new Set(), clock.now());
        await images.forgetParts(signal);
      } catch (cause) {
        signal.throwIfAborted();
        log.warn("Cannot remove content that nobody needs", { cause });
      }
      await clock.sleep(millis(limits.blobGraceMs / 2), signal);
    }
  }

  /** All that nobody needs, however much room there is; not what came, or was needed, only just now. */
  collect(signal: AbortSignal): Promise<CollectResult> {
    return this.#remove(true, signal);
  }

  async #remove(asked: boolean, signal: AbortSignal): Promise<CollectResult> {
    const { store, clock, log } = this.#parts;
    const keep = this.#keep();
    if (keep === undefined) return { removed: 0, freedBytes: 0 };
    const blobs = store.list();
    const now = clock.monotonic();
    const idle = blobs.filter(({ digest }) => !keep.has(digest));
    const isIdle = new Set(idle.map(({ digest }) => digest));
    for (const digest of this.#idleSince.keys()) if (!isIdle.has(digest)) this.#idleSince.delete(digest);
    for (const digest of isIdle) if (!this.#idleSince.has(digest)) this.#idleSince.set(digest, now);
    const idleMs = new Map([...this.#idleSince].map(([digest, since]) => [digest, now - since]));
    const removed = blobsToRemove(idle, idleMs, { roomBytes: await store.roomBytes(signal), asked });
    let freedBytes = 0;
    for (const { digest, sizeBytes } of removed) {
      // It may be needed again, or may have been brought here once more, by now.
      if (!this.#idleSince.has(digest) || this.#keep()?.has(digest) !== false) continue;
      await store.remove(digest, signal);
      freedBytes += sizeBytes;
      log.info("Removed content that nobody needs", { digest, sizeBytes });
    }
    return { removed: removed.length, freedBytes };
  }
}
