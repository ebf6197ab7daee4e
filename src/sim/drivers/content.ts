import { ConsortError } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import type { BlobExchange, BlobPeer, BlobStore, TransferProgress } from "#drivers/blob/port.ts";
import type { ImageSource } from "#drivers/image/port.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import { hostAddress } from "#protocol/topics.ts";
import type { SimulatedBlobs } from "#sim/drivers/blobs.ts";
import { diskFull, slowed } from "#sim/drivers/disk.ts";
import type { DiskState } from "#sim/drivers/disk.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { Wire } from "#sim/kernel/wire.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/**
 * Content of one cloud. Parts of checkpoints are made, copied and removed; what was never made here belongs to images,
 * which every host has.
 */
export class SimulatedContent {
  readonly made = new Set<Digest>();
  /** Who serves at a port now. */
  readonly served = new Map<number, SimulatedExchange>();
  /** From when to when a machine stood still for a checkpoint: "<appliance> <checkpoint>", virtual ms. */
  readonly stood = new Map<string, { readonly fromMs: number; readonly toMs: number }>();
  /** Grows whenever a host has less than before. */
  removals = 0;
}

/** A host's disk, as far as content lies on it. */
export type ContentDisk = {
  readonly host: HostId;
  readonly port: number;
  readonly blobs: SimulatedBlobs;
  readonly disk: DiskState;
  readonly cloud: SimulatedContent;
  readonly wire: Wire;
};

type Uses = {
  readonly on: ContentDisk;
  readonly life: Incarnation;
  readonly settings: SimulationSettings;
};

/** The content of a host's disk, as one life of its manager uses it. */
export function simulatedBlobStore({ on, life, settings }: Uses): BlobStore {
  const { blobs, cloud, disk } = on;
  const kept = async (work: Promise<BlobRef>): Promise<BlobRef> => {
    const blob = await work;
    cloud.made.add(blob.digest);
    return blob;
  };
  const write = (work: () => Promise<BlobRef>): Promise<BlobRef> =>
    life.call("blobs, keep", slowed(settings.diskMs, disk), () => {
      if (disk.full) throw diskFull("keep content");
      return kept(work());
    });
  return {
    workshop: blobs.workshop,
    // Before anything else, and of no effect.
    recover: () => Promise.resolve(),
    has: (digest) => blobs.has(digest) || !cloud.made.has(digest),
    path: (digest) => blobs.path(digest),
    list: () => blobs.list(),
    onTaken: (listener) => blobs.onTaken(listener),
    put: (content, expected) => write(() => blobs.put(content, expected)),
    adopt: (file) => refuse(`take in ${file}`),
    settle: (file) => refuse(`take in ${file}`),
    roomBytes: () => blobs.roomBytes(),
    remove: (digest) =>
      life.call("blobs, remove", slowed(settings.diskMs, disk), () => {
        cloud.removals += 1;
        blobs.remove(digest);
      }),
  };
}

/** Copies between hosts: the manager of the other host serves them, over the way that messages take. */
export class SimulatedExchange implements BlobExchange {
  readonly #uses: Uses;
  #token: string | undefined;

  constructor(uses: Uses) {
    this.#uses = uses;
    uses.on.cloud.served.set(uses.on.port, this);
  }

  get on(): ContentDisk {
    return this.#uses.on;
  }

  get port(): number {
    return this.#uses.on.port;
  }

  useToken(token: string): void {
    this.#token = token;
  }

  async fetch(
    blob: BlobRef,
    from: readonly BlobPeer[],
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<number> {
    signal.throwIfAborted();
    const { on, life, settings } = this.#uses;
    if (on.blobs.has(blob.digest)) return 0;
    await life.call("blobs, fetch", slowed(settings.copyMs, on.disk), () => {
      const content = from
        .flatMap((peer) => this.#reached(peer) ?? [])
        .map((other) => other.on.blobs.contents.get(blob.digest))
        .find((found) => found !== undefined);
      if (content === undefined) {
        throw new ConsortError("unavailable", `Cannot fetch ${blob.digest}: no host is known to have it`);
      }
      if (on.disk.full) throw diskFull("keep content");
      on.blobs.take(blob.digest, content);
    });
    onProgress({ doneBytes: blob.sizeBytes, totalBytes: blob.sizeBytes });
    signal.throwIfAborted();
    return blob.sizeBytes;
  }

  async push(digest: Digest, to: BlobPeer, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const { on, life, settings } = this.#uses;
    const slower = this.#uses.on.cloud.served.get(to.port)?.on.disk ?? on.disk;
    let broughtBytes = 0;
    await life.call("blobs, push", slowed(settings.copyMs, slower), () => {
      const content = on.blobs.contents.get(digest);
      if (content === undefined) {
        throw new ConsortError("not_found", `Cannot copy ${digest}: this host has no such content`);
      }
      const other = this.#reached(to)?.on;
      if (other === undefined) {
        throw new ConsortError("unavailable", `Cannot reach the host at ${to.address}:${to.port}`);
      }
      if (other.disk.full) throw diskFull("keep content");
      broughtBytes = other.blobs.has(digest) ? 0 : content.length;
      other.blobs.take(digest, content);
    });
    signal.throwIfAborted();
    return broughtBytes;
  }

  async forgetOthers(): Promise<void> {}

  async close(): Promise<void> {
    const { cloud, port } = this.#uses.on;
    if (cloud.served.get(port) === this) cloud.served.delete(port);
  }

  /** It answers, and takes us for one of the cloud. */
  #reached({ port }: BlobPeer): SimulatedExchange | undefined {
    const { cloud, wire, host } = this.#uses.on;
    const other = cloud.served.get(port);
    if (other === undefined || this.#token === undefined || other.#token !== this.#token) return undefined;
    const isUp = other.#uses.life.state === "up";
    return isUp && !wire.isBroken(hostAddress(host), hostAddress(other.on.host)) ? other : undefined;
  }
}

const refuse = (action: string): Promise<never> =>
  Promise.reject(
    new ConsortError(
      "unsupported",
      `Cannot ${action}: simulated hosts have all images, no files, and no outside`,
    ),
  );

/** There is no outside that images could come from. */
export const noOutside: ImageSource = {
  bring: () => refuse("bring an image in"),
  probe: () => refuse("look into an image"),
  append: () => refuse("take an upload in"),
  discover: () => refuse("discover images"),
  forgetParts: () => Promise.resolve(),
};
