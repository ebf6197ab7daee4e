import { codeOf, messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import type { BlobExchange, BlobPeer, BlobStore } from "#drivers/blob/port.ts";
import type { ImageSource } from "#drivers/image/port.ts";
import { Turns } from "#host/turns.ts";
import { sourcesOf } from "#model/image.ts";
import type { BlobRef, ContentSource, Image, ImageSpec } from "#model/image.ts";
import type { ImportPlan } from "#protocol/host-plan.ts";
import type { ImportReport } from "#protocol/host-report.ts";

type ImportsParts = {
  readonly store: BlobStore;
  readonly exchange: BlobExchange;
  readonly images: ImageSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly peers: () => readonly BlobPeer[];
  readonly secret: (name: string, signal: AbortSignal) => Promise<Readonly<Record<string, string>>>;
  readonly onChange: () => void;
};

type Running = { readonly stop: AbortController; report: ImportReport };

/** Brings images that this host was asked for into the cloud, one after the other, and tells how far each is. */
export class ImageImports {
  readonly #parts: ImportsParts;
  readonly #turns = new Turns(limits.importsAtOnce);
  readonly #running = new Map<string, Running>();

  constructor(parts: ImportsParts) {
    this.#parts = parts;
  }

  reports(): readonly ImportReport[] {
    return [...this.#running.values()].map(({ report }) => report);
  }

  follow(plans: readonly ImportPlan[], signal: AbortSignal): void {
    const wanted = new Set(plans.map(({ id }) => id));
    for (const [id, { stop }] of this.#running) {
      if (wanted.has(id)) continue;
      stop.abort();
      this.#running.delete(id);
    }
    for (const plan of plans) {
      if (this.#running.has(plan.id)) continue;
      const running: Running = {
        stop: new AbortController(),
        report: { id: plan.id, state: "waiting", doneBytes: 0 },
      };
      this.#running.set(plan.id, running);
      void this.#import(plan, running, AbortSignal.any([signal, running.stop.signal]));
    }
  }

  async #import({ id, image }: ImportPlan, running: Running, signal: AbortSignal): Promise<void> {
    const tell = (report: Omit<ImportReport, "id">): void => {
      running.report = { id, ...report };
      this.#parts.onChange();
    };
    try {
      const content = await this.#turns.take(() => this.#bring(image, tell, signal), signal);
      const { doneBytes } = running.report;
      tell({ state: "done", doneBytes, totalBytes: doneBytes, content });
    } catch (cause) {
      if (signal.aborted) return;
      this.#parts.log.warn(`Cannot import ${image.name}`, { cause });
      tell({ state: "failed", doneBytes: running.report.doneBytes, message: messageOf(cause) });
    }
  }

  async #bring(
    image: ImageSpec,
    tell: (report: Omit<ImportReport, "id">) => void,
    signal: AbortSignal,
  ): Promise<Pick<Image, "disk" | "boot">> {
    const { clock } = this.#parts;
    let before = 0;
    let toldAt = clock.monotonic();
    tell({ state: "transferring", doneBytes: 0 });
    const got = new Map<ContentSource, BlobRef>();
    for (const source of sourcesOf(image)) {
      const onProgress = (progress: { doneBytes: number; totalBytes?: number }): void => {
        if (clock.monotonic() - toldAt < limits.transferToldEveryMs) return;
        toldAt = clock.monotonic();
        const { doneBytes, totalBytes } = progress;
        const total = totalBytes === undefined ? {} : { totalBytes: before + totalBytes };
        tell({ state: "transferring", doneBytes: before + doneBytes, ...total });
      };
      const blob = await this.#one(source, onProgress, signal);
      got.set(source, blob);
      before += blob.sizeBytes;
      tell({ state: "transferring", doneBytes: before });
    }
    return this.#assemble(image, (source) => got.get(source)!, signal);
  }

  async #one(
    source: ContentSource,
    onProgress: (progress: { doneBytes: number; totalBytes?: number }) => void,
    signal: AbortSignal,
  ): Promise<BlobRef> {
    const { images, store, secret } = this.#parts;
    if (source.kind === "blob") {
      if (!store.has(source.blob.digest)) await this.#fetch(source.blob, onProgress, signal);
      return source.blob;
    }
    const { url, sha256, credentials } = source;
    const wanted = {
      url,
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(credentials === undefined ? {} : { secret: await secret(credentials, signal) }),
    };
    return images.bring(wanted, onProgress, signal);
  }

  /** Those that have it may not know yet that this host may, or be about to come back. */
  async #fetch(
    blob: BlobRef,
    onProgress: (progress: { doneBytes: number; totalBytes?: number }) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { exchange, peers, clock } = this.#parts;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await exchange.fetch(blob, peers(), onProgress, signal);
        return;
      } catch (cause) {
        signal.throwIfAborted();
        if (codeOf(cause) !== "unavailable" || attempt >= limits.importTriesMax) throw cause;
      }
      await clock.sleep(limits.blobFetchRetryMs, signal);
    }
  }

  async #assemble(
    { role, disk, boot }: ImageSpec,
    blobOf: (source: ContentSource) => BlobRef,
    signal: AbortSignal,
  ): Promise<Pick<Image, "disk" | "boot">> {
    const content: { -readonly [Key in "disk" | "boot"]?: Image[Key] & {} } = {};
    if (disk !== undefined) {
      const blob = blobOf(disk);
      // A tree of files is unpacked, and no machine's disk.
      const facts =
        role === "root"
          ? ({ format: "raw", virtualBytes: blob.sizeBytes } as const)
          : await this.#parts.images.probe(blob.digest, signal);
      content.disk = { ...blob, ...facts };
    }
    if (boot?.kind === "disk") content.boot = boot;
    if (boot?.kind === "kernel") {
      const { kernel, initrd, commandLine } = boot;
      content.boot = {
        kind: "kernel",
        kernel: blobOf(kernel),
        ...(initrd === undefined ? {} : { initrd: blobOf(initrd) }),
        commandLine,
      };
    }
    return content;
  }
}
