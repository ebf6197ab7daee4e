import type { Ipv4Address } from "#base/ids.ts";
import type { BlobRef, Digest } from "#model/image.ts";

/**
 * Content by its digest, on this host's disk. Names nobody outside chose, so no path ever comes from a user or a guest.
 * What is half written is never seen. What is found after a restart is what was once checked: where its file was touched
 * since, it is checked anew, and gone if it is not what its name says.
 */
export interface BlobStore {
  /** Clears away what was half written, and checks what was touched. Called once, first. */
  recover(signal: AbortSignal): Promise<void>;
  has(digest: Digest): boolean;
  /** Of the file, read-only for everybody. @throws not_found */
  path(digest: Digest): string;
  /** A directory of the same file system for files that are to be adopted. What is in it is its makers' to clear away. */
  readonly workshop: string;
  /**
   * Takes content in; rejects with `bad_input` when it is not what was expected, or too large, and with
   * `limit_exceeded` when the disk is too full.
   */
  put(content: AsyncIterable<Uint8Array>, expected: Partial<BlobRef>, signal: AbortSignal): Promise<BlobRef>;
  /** A file of our own of the same file system, by renaming it. Nobody may have it open for writing any more. */
  adopt(file: string, signal: AbortSignal): Promise<BlobRef>;
  /** The same, of a file whose content was checked to be `blob`. It is not read again. */
  settle(file: string, blob: BlobRef): Promise<BlobRef>;
  list(): readonly BlobRef[];
  /** Told of all that is brought here, also of what is here already: whoever brings it counts on it from then on. */
  onTaken(listener: (digest: Digest) => void): void;
  /** How much more it would take; negative when what must stay free no longer is. */
  roomBytes(signal: AbortSignal): Promise<number>;
  /** Whoever has it open goes on reading it. Nothing happens when it is not there. */
  remove(digest: Digest, signal: AbortSignal): Promise<void>;
}

export type BlobPeer = { readonly address: Ipv4Address; readonly port: number };

export type TransferProgress = { readonly doneBytes: number; readonly totalBytes: number };

/** Copies between hosts, over the underlay network; only those who know the cloud's token are served. */
export interface BlobExchange {
  /** What it asks of others and shows to them from now on; before the first, nobody is served. */
  useToken(token: string): void;
  /**
   * From several at once where there are several; goes on where an earlier attempt stopped. Rejects with `unavailable`
   * when none of them has it, and with `limit_exceeded` when the disk is too full. Resolves with how many bytes were
   * brought for it: none of what was here, and none of its holes.
   */
  fetch(
    blob: BlobRef,
    from: readonly BlobPeer[],
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<number>;
  /** Resolves when it is durable there, with how many bytes were brought there for it. */
  push(digest: Digest, to: BlobPeer, signal: AbortSignal): Promise<number>;
  /** Removes what was fetched in part long before `now` (wall clock, ms since the epoch) and is not among `wanted`. */
  forgetOthers(wanted: ReadonlySet<Digest>, now: number): Promise<void>;
  /** Where this host serves its own. */
  readonly port: number;
  close(): Promise<void>;
}
