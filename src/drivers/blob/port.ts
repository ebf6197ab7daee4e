import type { Ipv4Address } from "#base/ids.ts";
import type { BlobRef, Digest } from "#model/image.ts";

/**
 * Content by its digest, on this host's disk. Names nobody outside chose, so no path ever comes from a user or a guest.
 * What is half written is never seen; what is read is checked before it is first used after a restart.
 */
export interface BlobStore {
  /** Clears away what was half written. Called once, first. */
  recover(signal: AbortSignal): Promise<void>;
  has(digest: Digest): boolean;
  /** Of the file, read-only for everybody. @throws not_found */
  path(digest: Digest): string;
  /** Takes content in; rejects with `bad_input` when it is not what was expected, or too large. */
  put(content: AsyncIterable<Uint8Array>, expected: Partial<BlobRef>, signal: AbortSignal): Promise<BlobRef>;
  /** A file of our own of the same file system, by renaming it. */
  adopt(file: string, signal: AbortSignal): Promise<BlobRef>;
  list(): readonly BlobRef[];
  remove(digest: Digest, signal: AbortSignal): Promise<void>;
}

export type BlobPeer = { readonly address: Ipv4Address; readonly port: number };

export type TransferProgress = { readonly doneBytes: number; readonly totalBytes: number };

/** Copies between hosts, over the underlay network; only those who know the cloud's token are served. */
export interface BlobExchange {
  /** From several at once where there are several; goes on where an earlier attempt stopped. */
  fetch(
    blob: BlobRef,
    from: readonly BlobPeer[],
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Resolves when it is durable there. */
  push(digest: Digest, to: BlobPeer, signal: AbortSignal): Promise<void>;
  /** Where this host serves its own. */
  readonly port: number;
  close(): Promise<void>;
}
