import type { Bytes } from "#base/units.ts";

/** "sha256:" and 64 lower-case hexadecimal digits: names content, wherever it is kept. */
export type Digest = `sha256:${string}`;

/** Content that any host may hold a copy of. */
export type BlobRef = { readonly digest: Digest; readonly sizeBytes: Bytes };

export type DiskFormat = "raw" | "qcow2";

/**
 * What a guest can do beside booting. agent: QEMU's guest agent answers; context: it takes its identity (host name,
 * addresses, keys, files) from the context disk and, when it is resumed, from the context port; seed: it reads the
 * context disk with cloud-init.
 */
export type GuestFeature = "agent" | "context" | "seed";

/** How a guest is started: by its own boot loader, or with a kernel handed to the machine. */
export type GuestBoot =
  | { readonly kind: "disk"; readonly firmware: "bios" | "uefi" }
  | {
      readonly kind: "kernel";
      readonly kernel: BlobRef;
      readonly initrd?: BlobRef;
      readonly commandLine: string;
    };

/**
 * One entry of the image catalogue. base: a disk that boots (or, with a kernel and an initial RAM disk, none at all);
 * software: a read-only disk that is mounted at /opt/<name>; root: a directory tree (tar) for tasks.
 */
export type Image = {
  readonly name: string;
  readonly role: "base" | "software" | "root";
  readonly architecture: string;
  /** Absent: all of it is in memory. */
  readonly disk?: BlobRef & { readonly format: DiskFormat; readonly virtualBytes: Bytes };
  readonly boot?: GuestBoot;
  readonly features: readonly GuestFeature[];
  /** Where it came from; fetched from there again when no host has it. */
  readonly origin?: string;
  readonly registeredAtMs: number;
};

/** Where content comes from: an address, or it was brought to a host already. */
export type ContentSource =
  | {
      readonly kind: "url";
      readonly url: string;
      /** Of what is at the address, 64 hexadecimal digits; absent: what comes first is what it is from then on. */
      readonly sha256?: string;
      /** Name of a secret that holds what the other side asks for. */
      readonly credentials?: string;
    }
  | { readonly kind: "blob"; readonly blob: BlobRef };

/** What somebody registers: an image whose content is still to be brought, and looked into. */
export type ImageSpec = Pick<Image, "name" | "role" | "architecture" | "features" | "origin"> & {
  readonly disk?: ContentSource;
  readonly boot?:
    | { readonly kind: "disk"; readonly firmware: "bios" | "uefi" }
    | {
        readonly kind: "kernel";
        readonly kernel: ContentSource;
        readonly initrd?: ContentSource;
        readonly commandLine: string;
      };
};

/** All content an image is made from. */
export function sourcesOf({ disk, boot }: ImageSpec): readonly ContentSource[] {
  const kernel =
    boot?.kind === "kernel" ? [boot.kernel, ...(boot.initrd === undefined ? [] : [boot.initrd])] : [];
  return disk === undefined ? kernel : [disk, ...kernel];
}

/** All content an image needs to be there. */
export function blobsOf(image: Image): readonly BlobRef[] {
  const { disk, boot } = image;
  const kernel =
    boot?.kind === "kernel" ? [boot.kernel, ...(boot.initrd === undefined ? [] : [boot.initrd])] : [];
  return disk === undefined ? kernel : [disk, ...kernel];
}
