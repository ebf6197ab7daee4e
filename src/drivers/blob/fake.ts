import { createHash } from "node:crypto";
import { ConsortError } from "#base/errors.ts";
import { ipv4Address } from "#base/ids.ts";
import { bytes } from "#base/units.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import type { BlobExchange, BlobPeer, BlobStore, TransferProgress } from "./port.ts";

/** In memory. Files it is to adopt are put into `files` by the test. */
export class FakeBlobStore implements BlobStore {
  readonly workshop = "/workshop";
  readonly files = new Map<string, Uint8Array>();
  readonly contents = new Map<Digest, Uint8Array>();
  readonly #listeners: ((digest: Digest) => void)[] = [];

  room = 2 ** 40;

  async roomBytes(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    return this.room;
  }

  async recover(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
  }

  has(digest: Digest): boolean {
    return this.contents.has(digest);
  }

  path(digest: Digest): string {
    if (this.contents.has(digest)) return `/blobs/${digest.slice("sha256:".length)}`;
    throw new ConsortError("not_found", `Cannot read ${digest}: this host has no such content`);
  }

  list(): readonly BlobRef[] {
    return [...this.contents].map(([digest, content]) => ({ digest, sizeBytes: bytes(content.length) }));
  }

  onTaken(listener: (digest: Digest) => void): void {
    this.#listeners.push(listener);
  }

  /** It was brought here. */
  taken(digest: Digest): void {
    for (const listener of this.#listeners) listener(digest);
  }

  async put(
    content: AsyncIterable<Uint8Array>,
    expected: Partial<BlobRef>,
    signal: AbortSignal,
  ): Promise<BlobRef> {
    signal.throwIfAborted();
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) {
      signal.throwIfAborted();
      chunks.push(chunk);
    }
    const whole = Buffer.concat(chunks);
    const blob = refOf(whole);
    const isExpected =
      (expected.digest ?? blob.digest) === blob.digest &&
      (expected.sizeBytes ?? blob.sizeBytes) === blob.sizeBytes;
    if (!isExpected) throw new ConsortError("bad_input", `Cannot keep the content: it is ${blob.digest}`);
    this.taken(blob.digest);
    this.contents.set(blob.digest, whole);
    return blob;
  }

  async adopt(file: string, signal: AbortSignal): Promise<BlobRef> {
    signal.throwIfAborted();
    const content = this.files.get(file);
    if (content === undefined) throw new ConsortError("bad_input", `Cannot keep ${file}: it is no file`);
    this.files.delete(file);
    const blob = refOf(content);
    this.taken(blob.digest);
    this.contents.set(blob.digest, content);
    return blob;
  }

  async settle(file: string, blob: BlobRef): Promise<BlobRef> {
    const content = this.files.get(file);
    if (content === undefined) throw new ConsortError("bad_input", `Cannot keep ${file}: it is no file`);
    this.files.delete(file);
    this.taken(blob.digest);
    this.contents.set(blob.digest, content);
    return blob;
  }

  async remove(digest: Digest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.contents.delete(digest);
  }
}

/** Hosts that reach each other: every exchange of one cloud is made with the same map. */
export type FakeCloud = Map<number, FakeBlobExchange>;

export class FakeBlobExchange implements BlobExchange {
  readonly port: number;
  readonly store: FakeBlobStore;
  readonly #cloud: FakeCloud;
  #token: string | undefined;

  constructor(store: FakeBlobStore, cloud: FakeCloud) {
    this.store = store;
    this.#cloud = cloud;
    this.port = cloud.size + 1;
    cloud.set(this.port, this);
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
    this.store.taken(blob.digest);
    if (this.store.has(blob.digest)) return 0;
    const content = from
      .map((peer) => this.#cloud.get(peer.port))
      .filter((other) => other?.serves(this.#token) === true)
      .map((other) => other?.store.contents.get(blob.digest))
      .find((found) => found !== undefined);
    if (content === undefined)
      throw new ConsortError("unavailable", `Cannot fetch ${blob.digest}: no host is known to have it`);
    onProgress({ doneBytes: content.length, totalBytes: blob.sizeBytes });
    this.store.contents.set(blob.digest, content);
    return content.length;
  }

  async push(digest: Digest, to: BlobPeer, signal: AbortSignal): Promise<number> {
    const blob = this.store.list().find((one) => one.digest === digest);
    if (blob === undefined)
      throw new ConsortError("not_found", `Cannot copy ${digest}: this host has no such content`);
    const other = this.#cloud.get(to.port);
    if (other?.serves(this.#token) !== true)
      throw new ConsortError("unavailable", `Cannot reach the host at ${to.address}:${to.port}`);
    return other.fetch(blob, [{ address: ipv4Address("127.0.0.1"), port: this.port }], () => {}, signal);
  }

  async forgetOthers(): Promise<void> {}

  async close(): Promise<void> {
    this.#cloud.delete(this.port);
  }

  serves(token: string | undefined): boolean {
    return token !== undefined && token === this.#token;
  }
}

function refOf(content: Uint8Array): BlobRef {
  const digest: Digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  return { digest, sizeBytes: bytes(content.length) };
}
