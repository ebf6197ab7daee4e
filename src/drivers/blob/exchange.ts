import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import type { Ipv4Address } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";
import { Agent } from "#drivers/system/http.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import { digestOfFile } from "./digests.ts";
import type { DiskBlobStore } from "./disk-store.ts";
import { PeerClient } from "./exchange-client.ts";
import { blobServer } from "./exchange-server.ts";
import { blobLimits } from "./limits.ts";
import { partsIn, PieceFile, pieceRange, removePieces } from "./piece-file.ts";
import type { BlobExchange, BlobPeer, TransferProgress } from "./port.ts";

const abandonedMs = 3_600_000;

export type ExchangeOptions = {
  readonly store: DiskBlobStore;
  /** Underlay address of this host, where other hosts reach it. */
  readonly address: Ipv4Address;
  readonly log: Log;
  /** 0 or absent: any. */
  readonly port?: number;
};

/** Serves the store's blobs to other hosts, and gets theirs. Rejects when it cannot listen. */
export async function openBlobExchange(options: ExchangeOptions): Promise<BlobExchange> {
  const exchange = new HttpBlobExchange(options);
  await exchange.listen(options.port ?? 0);
  return exchange;
}

class HttpBlobExchange implements BlobExchange {
  readonly #store: DiskBlobStore;
  readonly #address: Ipv4Address;
  readonly #log: Log;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #client: PeerClient;
  readonly #server: Server;
  readonly #closed = new AbortController();
  /** The last fetch of each blob that is under way: the next waits for it. */
  readonly #underWay = new Map<Digest, Promise<unknown>>();
  #token: string | undefined;

  constructor({ store, address, log }: ExchangeOptions) {
    this.#store = store;
    this.#address = address;
    this.#log = log;
    this.#client = new PeerClient(this.#agent, () => this.#token);
    this.#server = blobServer({
      store,
      log,
      token: () => this.#token,
      fetch: (blob, from, signal) => this.fetch(blob, [from], () => {}, signal),
    });
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, this.#address);
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
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
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    const before = this.#underWay.get(blob.digest) ?? Promise.resolve();
    const mine = before.then(() => this.#fetch(blob, from, onProgress, stop));
    const ended = Promise.allSettled([mine]);
    this.#underWay.set(blob.digest, ended);
    try {
      return await mine;
    } finally {
      if (this.#underWay.get(blob.digest) === ended) this.#underWay.delete(blob.digest);
    }
  }

  async push(digest: Digest, to: BlobPeer, signal: AbortSignal): Promise<number> {
    const blob = this.#store.list().find((one) => one.digest === digest);
    if (blob === undefined)
      throw new ConsortError("not_found", `Cannot copy ${digest}: this host has no such content`);
    const self = { address: this.#address, port: this.port };
    return this.#client.askToFetch(blob, to, self, AbortSignal.any([signal, this.#closed.signal]));
  }

  async forgetOthers(wanted: ReadonlySet<Digest>, now: number): Promise<void> {
    for (const [digest, grewAt] of await partsIn(this.#store.pieces)) {
      if (wanted.has(digest) || this.#underWay.has(digest) || now - grewAt < abandonedMs) continue;
      await removePieces(this.#store.pieces, digest);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort(new ConsortError("cancelled", "The exchange of blobs was closed"));
    this.#agent.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await Promise.all(this.#underWay.values());
  }

  async #fetch(
    blob: BlobRef,
    from: readonly BlobPeer[],
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<number> {
    signal.throwIfAborted();
    if (this.#store.has(blob.digest)) {
      this.#store.taken(blob.digest);
      return 0;
    }
    const sink: Sink = { onProgress, broughtBytes: 0 };
    if (await this.#together(blob, from, sink, signal)) return sink.broughtBytes;
    // One of them holds something else under this name. Each alone is either right or told.
    for (const peer of from.length > 1 ? from : []) {
      const right = await this.#together(blob, [peer], sink, signal).catch(() => false);
      if (right) return sink.broughtBytes;
      signal.throwIfAborted();
      this.#log.warn("A host serves content that is not what its name says", { peer, digest: blob.digest });
    }
    throw new ConsortError("unavailable", `Cannot fetch ${blob.digest}: no host has what its name says`);
  }

  /** False: what came is not the blob; then nothing is kept. */
  async #together(
    blob: BlobRef,
    from: readonly BlobPeer[],
    sink: Sink,
    signal: AbortSignal,
  ): Promise<boolean> {
    const pieces = await PieceFile.open(this.#store.pieces, blob);
    try {
      await this.#store.checkRoom(blob.sizeBytes - pieces.doneBytes);
      await this.#fill(blob, pieces, from, sink, signal);
    } finally {
      await pieces.close();
    }
    const isRight = (await digestOfFile(pieces.path, signal)) === blob.digest;
    if (isRight) await this.#store.settle(pieces.path, blob);
    await removePieces(this.#store.pieces, blob.digest);
    return isRight;
  }

  async #fill(
    blob: BlobRef,
    pieces: PieceFile,
    from: readonly BlobPeer[],
    sink: Sink,
    signal: AbortSignal,
  ): Promise<void> {
    let peers = [...from];
    let lastWords: unknown = new ConsortError("unavailable", "no host is known to have it");
    let doneBytes = pieces.doneBytes;
    const progress = (moreBytes: number): void => {
      doneBytes += moreBytes;
      sink.onProgress({ doneBytes, totalBytes: blob.sizeBytes });
    };
    progress(0);
    // A piece that one peer failed to give is left for the others, also when these were through already.
    for (let waiting = pieces.missing(); waiting.length > 0; waiting = pieces.missing()) {
      const asked = peers.slice(0, blobLimits.blobPeersAtOnce);
      if (asked.length === 0)
        throw new ConsortError("unavailable", `Cannot fetch ${blob.digest}: ${whyNot(lastWords)}`, {
          cause: lastWords,
        });
      // One alone may take its time; where there are others, whoever is silent has probably been lost.
      const { blobPeerSilenceMsMax, blobPeerStalledMsMax } = blobLimits;
      const silenceMsMax = peers.length === 1 ? blobPeerSilenceMsMax : blobPeerStalledMsMax;
      const failed = new Set<BlobPeer>();
      await Promise.all(
        asked.map(async (peer) => {
          const reader = { peer, silenceMsMax, sink };
          const failure = await this.#drain(blob, pieces, waiting, reader, progress, signal);
          if (failure === undefined) return;
          failed.add(peer);
          lastWords = failure;
        }),
      );
      signal.throwIfAborted();
      peers = peers.filter((peer) => !failed.has(peer));
    }
  }

  /** Takes pieces from the list of those that wait until none does. Resolves with why this peer is asked no more. */
  async #drain(
    blob: BlobRef,
    pieces: PieceFile,
    waiting: number[],
    { peer, silenceMsMax, sink }: Reader,
    progress: (moreBytes: number) => void,
    signal: AbortSignal,
  ): Promise<unknown> {
    let failures = 0;
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      let gotBytes = 0;
      const onBytes = (moreBytes: number): void => {
        gotBytes += moreBytes;
        progress(moreBytes);
      };
      try {
        const range = pieceRange(blob, index);
        const write = async (chunk: Uint8Array, position: number): Promise<void> => {
          sink.broughtBytes += chunk.length;
          await pieces.write(chunk, position).catch(diskFailure);
        };
        await this.#client.read(blob.digest, range, peer, write, onBytes, silenceMsMax, signal);
        await pieces.complete(index);
        failures = 0;
      } catch (cause) {
        progress(-gotBytes);
        waiting.push(index);
        failures += 1;
        if (codeOf(cause) === "limit_exceeded") throw cause;
        const isFinal = codeOf(cause) !== "unavailable" || failures >= blobLimits.blobPeerFailuresMax;
        if (signal.aborted || isFinal) return cause;
      }
    }
    return undefined;
  }
}

/** Who is told of a fetch, and how much came over the line for it. */
type Sink = {
  readonly onProgress: (progress: TransferProgress) => void;
  broughtBytes: number;
};

type Reader = { readonly peer: BlobPeer; readonly silenceMsMax: number; readonly sink: Sink };

/** The last peer's words speak of that peer alone: that it has no such content, others had told before. */
const whyNot = (lastWords: unknown): string =>
  codeOf(lastWords) === "not_found" ? "none of the hosts asked has it" : messageOf(lastWords);

/** No peer is to blame for it. */
function diskFailure(cause: unknown): never {
  throw new ConsortError("limit_exceeded", `Cannot write content to the disk: ${messageOf(cause)}`, {
    cause,
  });
}
