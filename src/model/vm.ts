import type { Bytes, Millis } from "#base/units.ts";

/** What a virtual machine has beyond what every appliance has. */
export type VmSpec = {
  /** auto: microvm where the guest and what is asked of it allow it, else q35. */
  readonly machine: "auto" | "microvm" | "q35";
  /** auto: KVM if a probe guest really ran in it, else TCG. */
  readonly accel: "auto" | "kvm" | "tcg";
  readonly vcpus: number;
  /** As far as `vcpus` can grow while it runs. */
  readonly vcpusMax: number;
  /** As far as its memory can grow while it runs: at least what is declared of it. */
  readonly memoryBytesMax: Bytes;
  /** Read-only disks by their names in the catalogue, mounted at /opt/<name>. */
  readonly software: readonly string[];
  /** Writable disks made for it; absent: none. */
  readonly homeBytes?: Bytes;
  readonly swapBytes?: Bytes;
  /** Public keys that may log in as root, in OpenSSH's format. */
  readonly sshKeys: readonly string[];
  /** warm: resumed from a snapshot of a booted guest with an identity of its own; auto: where one can be had. */
  readonly start: "auto" | "cold" | "warm";
  readonly disk?: DiskLimits;
  readonly checkpoint?: CheckpointPolicy;
};

/** Never exceeded, all its disks together. */
export type DiskLimits = {
  readonly readBytesPerSecond?: Bytes;
  readonly writeBytesPerSecond?: Bytes;
  readonly readsPerSecond?: number;
  readonly writesPerSecond?: number;
};

/** Taken again and again; with `restart: elsewhere` a lost host's machine goes on from the newest complete one. */
export type CheckpointPolicy = {
  readonly everyMs: Millis;
  /** On so many hosts, its own not counted; ignored with `store`. */
  readonly copies: number;
  /** "s3://bucket/prefix": kept there instead. */
  readonly store?: string;
  /** Name of the secret with the store's keys. */
  readonly credentials?: string;
  /** Complete ones that are kept. */
  readonly keep: number;
};
