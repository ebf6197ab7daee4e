import { digest as fingerprint } from "#base/digest.ts";
import { ConsortError } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import type { BlobRef, Digest } from "#model/image.ts";

/** Room on a simulated disk, in bytes: what makes it full is a fault. */
const roomBytes = 2 ** 40;

/** What content lies on one simulated disk. Named by a digest that tells contents apart, and is not for security. */
export class SimulatedBlobs {
  readonly workshop = "/workshop";
  readonly contents = new Map<Digest, Uint8Array>();
  /** Of the manager that lives now. */
  #listener: (digest: Digest) => void = () => {};

  onTaken(listener: (digest: Digest) => void): void {
    this.#listener = listener;
  }

  take(digest: Digest, content: Uint8Array): void {
    this.#listener(digest);
    this.contents.set(digest, content);
  }

  has(digest: Digest): boolean {
    return this.contents.has(digest);
  }

  path(digest: Digest): string {
    if (this.contents.has(digest)) return `/blobs/${digest}`;
    throw new ConsortError("not_found", `Cannot read ${digest}: this host has no such content`);
  }

  list(): readonly BlobRef[] {
    return [...this.contents].map(([digest, content]) => ({ digest, sizeBytes: bytes(content.length) }));
  }

  roomBytes(): Promise<number> {
    return Promise.resolve(roomBytes);
  }

  async put(content: AsyncIterable<Uint8Array>, expected: Partial<BlobRef>): Promise<BlobRef> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of content) chunks.push(chunk);
    const whole = Buffer.concat(chunks);
    const blob: BlobRef = {
      digest: `sha256:${fingerprint(whole.toString("latin1"))}`,
      sizeBytes: bytes(whole.length),
    };
    if ((expected.digest ?? blob.digest) !== blob.digest) {
      throw new ConsortError("bad_input", `Cannot keep the content: it is ${blob.digest}`);
    }
    this.take(blob.digest, whole);
    return blob;
  }

  remove(digest: Digest): void {
    this.contents.delete(digest);
  }
}
