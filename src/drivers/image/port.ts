import type { Bytes } from "#base/units.ts";
import type { BlobRef, Digest, DiskFormat, ImageSpec } from "#model/image.ts";

/** Content that somebody wants brought here. */
export type Wanted = {
  readonly url: string;
  /** Of what is at the address. */
  readonly sha256?: string;
  readonly secret?: Readonly<Record<string, string>>;
};

export type DiskFacts = { readonly format: DiskFormat; readonly virtualBytes: Bytes };

/** A part of content: bytes, and then so many zeros. */
export type UploadPart = {
  readonly blob: BlobRef;
  readonly fromByte: number;
  readonly data: Uint8Array;
  readonly zeroBytes: number;
};

/** Images outside the cloud, and what they are made of. What comes from there is trusted in nothing. */
export interface ImageSource {
  /** Into this host's blobs; unpacked where the address ends in .gz or .zst. Goes on where an earlier attempt stopped. */
  bring(
    wanted: Wanted,
    onProgress: (progress: { readonly doneBytes: number; readonly totalBytes?: number }) => void,
    signal: AbortSignal,
  ): Promise<BlobRef>;
  /**
   * What kind of disk a blob is. Rejects with `bad_input` for one that would have QEMU read other files, and for one
   * that no machine could use.
   */
  probe(digest: Digest, signal: AbortSignal): Promise<DiskFacts>;
  /** Takes a part of content in; parts come in order, and go on after a death. Resolves with how much is there. */
  append(part: UploadPart, signal: AbortSignal): Promise<number>;
  /** Images found at an address. */
  discover(at: Omit<Wanted, "sha256">, signal: AbortSignal): Promise<readonly ImageSpec[]>;
  /** Removes what was brought in part and is wanted no more. */
  forgetParts(signal: AbortSignal): Promise<void>;
}
