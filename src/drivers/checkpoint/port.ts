import type { ApplianceId, HostId } from "#base/ids.ts";
import type { BlobPeer, TransferProgress } from "#drivers/blob/port.ts";
import type { CheckpointChain, KeptInPlace } from "#model/checkpoint-chain.ts";
import type { CheckpointCopies } from "#model/checkpoint.ts";
import type { CheckpointPolicy } from "#model/vm.ts";
import type { StorePlan } from "#protocol/host-plan.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";

/** Where checkpoints of this host's appliances are kept beside their host. */
export interface CheckpointStore {
  /**
   * All parts of the chain, those that are not there yet; then what makes it complete. Cut off at any byte it leaves
   * those before it as they are.
   */
  save(chain: CheckpointChain, before: KeptBefore, signal: AbortSignal): Promise<SavedCopies>;
  /** All parts of the chain come to this host's blobs, each of them checked. Rejects with `unavailable`. */
  fetch(
    chain: CheckpointChain,
    copies: CheckpointCopies,
    onProgress: (progress: TransferProgress) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** What it took in so far, in bytes per second; undefined: nothing was measured. */
  readonly speedBps: number | undefined;
}

/** Where the chain was kept up to its newest one, or parts of it were: the places of stores. */
export type KeptBefore = { readonly hosts: readonly HostId[]; readonly places: readonly string[] };

/** A place in a store outside the cloud; only one appliance's checkpoints, taken by one host, are below it. */
export type StorePlace = Pick<StorePlan, "place" | "appliance" | "credentials">;

/** Removes from such places. */
export interface StoreSweeper {
  /**
   * All below the place but what is to be kept, records first: one that is there has all that it needs. Also what was
   * sent in part only. Nothing of this appliance may be on its way there meanwhile. Idempotent. Rejects when something
   * is still there that is not to be kept.
   */
  sweep(at: StorePlace, keep: KeptInPlace, signal: AbortSignal): Promise<void>;
}

export type SavedCopies = {
  readonly copies: readonly HostId[];
  /** Hosts that were to get a copy, and have none. */
  readonly missing: readonly HostId[];
};

export type NamedPeer = BlobPeer & { readonly host: HostId };

export type TakeOrder = {
  readonly appliance: ApplianceId;
  readonly id: string;
  /** Of its plan. */
  readonly generation: string;
  readonly policy: Omit<CheckpointPolicy, "everyMs">;
  /**
   * Called when the machine is paused; it goes on when this resolves, with the group that was taken at this moment if
   * it really was.
   */
  readonly whilePaused?: (signal: AbortSignal) => Promise<string | undefined>;
  /** Once it is complete the machine does not go on, until it is released. One that fails lets it go on. */
  readonly stays?: true;
};

/** Takes checkpoints of this host's machines, and knows those that are complete. */
export interface Checkpointer {
  /** Finds what is on record. Called once, first. */
  recover(signal: AbortSignal): Promise<void>;
  /** Appliances may have changed: what a death of the manager left paused goes on as soon as it can be reached. */
  look(signal: AbortSignal): void;
  /**
   * Resolves once it is complete. Whatever happens, the machine runs on (but see `stays`), and those before it stay as
   * they are.
   */
  take(order: TakeOrder, signal: AbortSignal): Promise<void>;
  /** Machines that stand still at a complete checkpoint of theirs, with its name. */
  standing(): ReadonlyMap<ApplianceId, string>;
  /** One that stands still goes on, as soon as it can be reached. */
  release(appliance: ApplianceId, signal: AbortSignal): void;
  /** Complete ones, of all appliances here, the newest last. */
  observe(): readonly CheckpointReport[];
  /** Appliances of which anything is on record, be it one that was cut off. */
  onRecord(): readonly ApplianceId[];
  /** Hosts that take copies. */
  usePeers(own: HostId, peers: readonly NamedPeer[]): void;
  /** Nothing of an appliance that is not here any more is kept on record; its blobs are the blob store's to remove. */
  forget(appliance: ApplianceId, signal: AbortSignal): Promise<void>;
}
