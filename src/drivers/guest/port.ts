import type { Digest, Image } from "#model/image.ts";

/** An image as it was built, and where the content is that it names. */
export type BuiltGuest = {
  readonly image: Image;
  /** Absolute paths; kept for the next who builds the same. */
  readonly files: ReadonlyMap<Digest, string>;
};

/** "downloading packages": what is being done now. */
export type BuildProgress = (step: string) => void;

export type DebianGuestSpec = {
  readonly name: string;
  /** "bookworm". */
  readonly suite: string;
  /** Beside what the guest itself needs. */
  readonly packages: readonly string[];
  /** Of its root disk. */
  readonly diskBytes: number;
};

export type SoftwareSpec = {
  readonly name: string;
  /** Debian packages, unpacked; what they depend on is not. */
  readonly packages: readonly string[];
  /** What is in it goes into the image's root. */
  readonly directory?: string;
};

/** Makes images. What was built from the same inputs is found again; an interrupted build leaves nothing to be taken for one. */
export interface GuestBuilder {
  tiny(onProgress: BuildProgress, signal: AbortSignal): Promise<BuiltGuest>;
  /** Wants root. */
  debian(spec: DebianGuestSpec, onProgress: BuildProgress, signal: AbortSignal): Promise<BuiltGuest>;
  software(spec: SoftwareSpec, onProgress: BuildProgress, signal: AbortSignal): Promise<BuiltGuest>;
}
