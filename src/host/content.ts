import { messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { bytes, formatBytes } from "#base/units.ts";
import type { BlobExchange, BlobStore } from "#drivers/blob/port.ts";
import type { ImageSource } from "#drivers/image/port.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { BlobCollector } from "#host/blob-collector.ts";
import { ImageImports } from "#host/imports.ts";
import { imagesOf, neededContent } from "#host/needed-content.ts";
import type { NeededContent } from "#host/needed-content.ts";
import { Turns } from "#host/turns.ts";
import { blobsOf } from "#model/image.ts";
import type { BlobRef, Digest, Image } from "#model/image.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { HostReport, TransferReport } from "#protocol/host-report.ts";
import { clusterAddress, topics } from "#protocol/topics.ts";
import type {
  CollectResult,
  DiscoverBody,
  DiscoverResult,
  SecretBody,
  SecretResult,
  UploadBody,
  UploadResult,
} from "#protocol/topics.ts";

/** What a host needs to hold content. */
export type ContentDrivers = {
  readonly store: BlobStore;
  readonly exchange: BlobExchange;
  readonly images: ImageSource;
};

export type HostContentParts = ContentDrivers & {
  readonly host: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly messaging: Messaging;
  /** What is here is made of this, whatever the plan says. */
  readonly inUse?: () => readonly Digest[];
  /** Something that was waited for is there, or worth telling. */
  readonly onChange: () => void;
};

type Fetching = {
  readonly blob: BlobRef;
  doneBytes: number;
  failure?: string;
  readonly stop: AbortController;
};

/**
 * Gets the content a host's plan speaks of from other hosts, brings what it is to import, and removes what nobody needs.
 * It works from the newest plan alone: what a plan no longer needs is no longer fetched, and a restart begins again with
 * what is on the disk.
 */
export class HostContent {
  readonly #parts: HostContentParts;
  readonly #turns = new Turns(limits.blobFetchesAtOnce);
  readonly #fetching = new Map<Digest, Fetching>();
  readonly #imports: ImageImports;
  readonly #collector: BlobCollector;
  #plan: HostPlan | undefined;

  constructor(parts: HostContentParts) {
    this.#parts = parts;
    this.#imports = new ImageImports({
      ...parts,
      peers: () => this.#plan?.blobs?.peers ?? [],
      secret: (name, signal) => this.#secret(name, signal),
    });
    this.#collector = new BlobCollector(parts, () => this.#keep());
  }

  /** Once, before all else. */
  async recover(signal: AbortSignal): Promise<void> {
    await this.#parts.store.recover(signal);
  }

  answer(signal: AbortSignal): void {
    const { messaging, images, store } = this.#parts;
    messaging.answer(topics.upload, async ({ body }, asked): Promise<UploadResult> => {
      const { blob, fromByte, dataBase64, zeroBytes = 0 } = body as UploadBody;
      const part = { blob, fromByte, data: Buffer.from(dataBase64, "base64"), zeroBytes };
      const haveBytes = await images.append(part, AbortSignal.any([signal, asked]));
      const complete = store.has(blob.digest);
      // Where it is must be known before it is asked for.
      if (complete) this.#parts.onChange();
      return { haveBytes, complete };
    });
    messaging.answer(topics.collect, (_request, asked): Promise<CollectResult> =>
      this.#collector.collect(AbortSignal.any([signal, asked])),
    );
    messaging.answer(topics.discover, async ({ body }, asked): Promise<DiscoverResult> => {
      const stop = AbortSignal.any([signal, asked]);
      return { images: await images.discover(body as DiscoverBody, stop) };
    });
  }

  /** Works towards this plan from now on. */
  follow(plan: HostPlan, signal: AbortSignal): void {
    if (this.#plan === plan) return;
    this.#plan = plan;
    if (plan.blobs !== undefined) this.#parts.exchange.useToken(plan.blobs.token);
    this.#imports.follow(plan.imports ?? [], signal);
    const { fetch } = neededContent(plan, this.#imports.reports());
    for (const [digest, { stop }] of this.#fetching) if (!fetch.has(digest)) stop.abort();
    this.#fetchAll(fetch, signal);
  }

  #fetchAll(fetch: NeededContent["fetch"], signal: AbortSignal): void {
    for (const { blob, image } of fetch.values()) {
      if (this.#parts.store.has(blob.digest) || this.#fetching.has(blob.digest)) continue;
      void this.#get(blob, image, signal);
    }
  }

  /** Until the signal aborts: removes what nobody needs. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#collector.run(signal);
  }

  /** Why an appliance cannot be made yet; undefined: all its content is here. */
  lacks(appliance: AppliancePlan): string | undefined {
    const missing = imagesOf(appliance).filter((image) => blobsOf(image).some((blob) => !this.#isHere(blob)));
    if (missing.length === 0) return undefined;
    // Images may share content.
    const blobs = [...new Map(missing.flatMap(blobsOf).map((blob) => [blob.digest, blob])).values()];
    const totalBytes = blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const doneBytes = blobs.reduce((sum, blob) => sum + this.#haveBytes(blob), 0);
    const failure = blobs.map(({ digest }) => this.#fetching.get(digest)?.failure).find(Boolean);
    const names = [...new Set(missing.map(({ name }) => name))];
    const what = names.length === 1 ? `its image ${names[0]}` : `its images ${names.join(", ")}`;
    const progress = `${formatBytes(bytes(doneBytes))} of ${formatBytes(bytes(totalBytes))}`;
    const why = failure === undefined ? "" : `: ${failure}`;
    return `waits for ${what}, ${progress}${why}`;
  }

  #isHere({ digest }: BlobRef): boolean {
    return this.#parts.store.has(digest);
  }

  #haveBytes(blob: BlobRef): number {
    return this.#isHere(blob) ? blob.sizeBytes : (this.#fetching.get(blob.digest)?.doneBytes ?? 0);
  }

  /** What of it stands in the host's report. */
  report(): Pick<HostReport, "blobPort" | "blobs" | "transfers" | "imports"> {
    const { store, exchange } = this.#parts;
    const blobs = store.list();
    const transfers = [...this.#fetching.values()].map(({ blob, doneBytes }): TransferReport => {
      return { digest: blob.digest, doneBytes, totalBytes: blob.sizeBytes };
    });
    const imports = this.#imports.reports();
    return {
      blobPort: exchange.port,
      ...(blobs.length === 0 ? {} : { blobs: blobs.map(({ digest }) => digest) }),
      ...(transfers.length === 0 ? {} : { transfers }),
      ...(imports.length === 0 ? {} : { imports }),
    };
  }

  async close(): Promise<void> {
    await this.#parts.exchange.close();
  }

  #keep(): ReadonlySet<Digest> | undefined {
    if (this.#plan === undefined) return undefined;
    const { keep } = neededContent(this.#plan, this.#imports.reports());
    return new Set([...keep, ...(this.#parts.inUse?.() ?? [])]);
  }

  /** Tries again and again until it is there, or no longer wanted. */
  async #get(blob: BlobRef, image: Image, signal: AbortSignal): Promise<void> {
    const { clock, log, onChange } = this.#parts;
    const stop = new AbortController();
    const fetching: Fetching = { blob, doneBytes: 0, stop };
    this.#fetching.set(blob.digest, fetching);
    const either = AbortSignal.any([signal, stop.signal]);
    try {
      while (!this.#parts.store.has(blob.digest)) {
        try {
          await this.#turns.take(() => this.#try(fetching, image, either), either);
        } catch (cause) {
          either.throwIfAborted();
          if (fetching.failure === undefined) log.warn(`Cannot fetch ${image.name}`, { cause });
          fetching.failure = messageOf(cause);
          onChange();
          await clock.sleep(limits.blobFetchRetryMs, either);
        }
      }
    } catch {
      // Called off: not wanted any more, or this manager ends.
    } finally {
      this.#fetching.delete(blob.digest);
      onChange();
    }
    const plan = this.#plan;
    // It was called off, and may have been wanted again before that had an effect.
    if (stop.signal.aborted && !signal.aborted && plan !== undefined)
      this.#fetchAll(neededContent(plan, this.#imports.reports()).fetch, signal);
  }

  async #try(fetching: Fetching, image: Image, signal: AbortSignal): Promise<void> {
    const { exchange, images, clock, onChange } = this.#parts;
    const { blob } = fetching;
    let toldAt = clock.monotonic();
    const onProgress = ({ doneBytes }: { doneBytes: number }): void => {
      fetching.doneBytes = doneBytes;
      if (clock.monotonic() - toldAt < limits.transferToldEveryMs) return;
      toldAt = clock.monotonic();
      onChange();
    };
    try {
      await exchange.fetch(blob, this.#plan?.blobs?.peers ?? [], onProgress, signal);
    } catch (cause) {
      signal.throwIfAborted();
      // Nobody has it: where it came from it can be had again, if it is what it was.
      if (image.origin === undefined || image.disk?.digest !== blob.digest) throw cause;
      const sha256 = blob.digest.slice("sha256:".length);
      await images.bring({ url: image.origin, sha256 }, onProgress, signal).catch(() => {
        throw cause;
      });
    }
  }

  async #secret(name: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const { messaging, host } = this.#parts;
    const body: SecretBody = { host, name };
    return ((await messaging.request(clusterAddress, topics.secret, body, signal)) as SecretResult).fields;
  }
}
