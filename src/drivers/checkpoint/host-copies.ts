import { ConsortError, messageOf } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import type { BlobExchange, BlobStore, TransferProgress } from "#drivers/blob/port.ts";
import { blobsOfAll } from "#model/checkpoint-chain.ts";
import type { CheckpointStore, KeptBefore, NamedPeer, SavedCopies } from "#drivers/checkpoint/port.ts";
import { Speed } from "#drivers/checkpoint/speed.ts";
import type { CheckpointChain } from "#model/checkpoint-chain.ts";
import type { CheckpointCopies } from "#model/checkpoint.ts";

export type HostCopiesParts = {
  readonly blobs: BlobStore;
  readonly exchange: BlobExchange;
  readonly clock: Clock;
  readonly log: Log;
  readonly own: HostId;
  readonly peers: () => readonly NamedPeer[];
  readonly copies: number;
};

/**
 * `copies` hosts besides this one have all parts of every checkpoint that is kept. Those that have the chain already
 * get only what is new; one that cannot be reached is replaced by another, which gets all of the chain.
 */
export class HostCopies implements CheckpointStore {
  readonly #parts: HostCopiesParts;
  readonly #speed: Speed;

  constructor(parts: HostCopiesParts, speed: Speed) {
    this.#parts = parts;
    this.#speed = speed;
  }

  get speedBps(): number | undefined {
    return this.#speed.bps;
  }

  async save(chain: CheckpointChain, before: KeptBefore, signal: AbortSignal): Promise<SavedCopies> {
    const { own, log, copies } = this.#parts;
    const wanted = preferred(this.#parts.peers(), before.hosts, chain[0]?.appliance ?? "", own);
    const missing: HostId[] = [];
    const done: HostId[] = [];
    // As many at once as are wanted; a failed one's place is taken by the next.
    const next = wanted[Symbol.iterator]();
    const work = async (): Promise<void> => {
      for (const peer of next) {
        try {
          await this.#send(chain, peer, signal);
          done.push(peer.host);
          return;
        } catch (cause) {
          signal.throwIfAborted();
          missing.push(peer.host);
          log.warn(`Cannot copy a checkpoint to ${peer.host}: ${messageOf(cause)}`, { cause });
        }
      }
    };
    await Promise.all(Array.from({ length: copies }, work));
    return { copies: [own, ...done], missing: missing.slice(0, copies - done.length) };
  }

  async #send(chain: CheckpointChain, peer: NamedPeer, signal: AbortSignal): Promise<void> {
    const { clock, exchange } = this.#parts;
    for (;;) {
      const beganAll = clock.monotonic();
      for (const { digest } of blobsOfAll(chain)) {
        const began = clock.monotonic();
        const broughtBytes = await exchange.push(digest, peer, signal);
        this.#speed.note(broughtBytes, clock.monotonic() - began);
      }
      // What came so long ago that it may have been removed again is asked for once more.
      if (clock.monotonic() - beganAll < limits.blobGraceMs / 2) return;
    }
  }

  async fetch(
    chain: CheckpointChain,
    copies: CheckpointCopies,
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { blobs, exchange } = this.#parts;
    const holders = new Set(copies.hosts);
    const from = this.#parts.peers().filter(({ host }) => holders.has(host));
    const missing = blobsOfAll(chain).filter(({ digest }) => !blobs.has(digest));
    if (missing.length > 0 && from.length === 0) {
      throw new ConsortError(
        "unavailable",
        `Cannot restore from the checkpoint ${chain[0]?.id ?? ""}: none of the hosts that have a copy can be reached`,
      );
    }
    const totalBytes = missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const done = new Map<string, number>();
    await Promise.all(
      missing.map((blob) =>
        exchange.fetch(
          blob,
          from,
          ({ doneBytes }) => {
            done.set(blob.digest, doneBytes);
            onProgress({ doneBytes: [...done.values()].reduce((sum, one) => sum + one, 0), totalBytes });
          },
          signal,
        ),
      ),
    );
  }
}

/** Those that have the chain, then the others, each appliance beginning at another one. */
function preferred(
  peers: readonly NamedPeer[],
  before: readonly HostId[],
  appliance: string,
  own: HostId,
): readonly NamedPeer[] {
  const others = peers.filter(({ host }) => host !== own).toSorted((a, b) => (a.host < b.host ? -1 : 1));
  const start = Array.from(appliance).reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_521, 7);
  const at = others.length === 0 ? 0 : start % others.length;
  const turned = [...others.slice(at), ...others.slice(0, at)];
  const had = new Set(before);
  return [...turned.filter(({ host }) => had.has(host)), ...turned.filter(({ host }) => !had.has(host))];
}
