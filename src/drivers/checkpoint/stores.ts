import type { HostId } from "#base/ids.ts";
import type { Clock, Log } from "#base/runtime.ts";
import type { BlobExchange, BlobStore } from "#drivers/blob/port.ts";
import { HostCopies } from "#drivers/checkpoint/host-copies.ts";
import { ObjectStore } from "#drivers/checkpoint/object-store.ts";
import type { CheckpointStore, NamedPeer } from "#drivers/checkpoint/port.ts";
import { Speed } from "#drivers/checkpoint/speed.ts";
import type { CheckpointPolicy } from "#model/vm.ts";
import type { Secret, Transfer } from "#drivers/transfer/port.ts";

export type StoreFor = (
  policy: Pick<CheckpointPolicy, "copies" | "store" | "credentials">,
  own: HostId,
  peers: () => readonly NamedPeer[],
) => CheckpointStore;

export type StoresParts = {
  readonly blobs: BlobStore;
  readonly exchange: BlobExchange;
  readonly transfer: Transfer;
  /** By its name. */
  readonly secretFor: (name: string, signal: AbortSignal) => Promise<Secret>;
  readonly clock: Clock;
  readonly log: Log;
};

/** Copies on other hosts, or one in a store. What was measured of either is kept between checkpoints. */
export function checkpointStores(parts: StoresParts): StoreFor {
  const toHosts = new Speed();
  const toStores = new Map<string, Speed>();
  return ({ copies, store, credentials }, own, peers) => {
    if (store === undefined) return new HostCopies({ ...parts, own, peers, copies }, toHosts);
    const speed = toStores.get(store) ?? new Speed();
    toStores.set(store, speed);
    const secret = (signal: AbortSignal): Promise<Secret | undefined> =>
      credentials === undefined ? Promise.resolve(undefined) : parts.secretFor(credentials, signal);
    return new ObjectStore({ ...parts, own, place: store, secret }, speed);
  };
}
