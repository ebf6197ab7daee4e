import type { Millis } from "#base/units.ts";
import type { HostPlan } from "#protocol/host-plan.ts";

/** A JSON value under a key, with the revision of the commit that wrote it. */
export type StoreEntry = { readonly key: string; readonly value: unknown; readonly revision: number };

export type StoreWrite =
  | { readonly put: string; readonly value: unknown; readonly lease?: string }
  | { readonly delete: string };

/** Holds when the key's entry has this revision; 0 means "no such key". */
export type StoreCondition = { readonly key: string; readonly revision: number };

export type CommitResult =
  | { readonly committed: true; readonly revision: number }
  | { readonly committed: false; readonly conflicts: readonly string[] };

export type StoreEvent = {
  readonly revision: number;
  readonly key: string;
  /** Absent: deleted. */
  readonly value?: unknown;
};

/**
 * Durable, ordered, compare-and-set. A commit that resolved survives the death of everything, at once.
 * Embedded: one process on one file. Clustered: etcd.
 */
export interface Store {
  get(key: string, signal: AbortSignal): Promise<StoreEntry | undefined>;
  /** All entries under the prefix in key order, and the revision they were read at. */
  list(prefix: string, signal: AbortSignal): Promise<{ entries: readonly StoreEntry[]; revision: number }>;
  /** All writes or none; only if all conditions hold. */
  commit(
    writes: readonly StoreWrite[],
    conditions: readonly StoreCondition[],
    signal: AbortSignal,
  ): Promise<CommitResult>;
  /**
   * Every change under the prefix after `fromRevision`, in order, without gaps, one commit's changes together.
   * Ends when the signal aborts; throws `gone` when `fromRevision` is older than what is kept.
   */
  watch(prefix: string, fromRevision: number, signal: AbortSignal): AsyncIterable<readonly StoreEvent[]>;
  /** A lease: entries written with it vanish when it is not renewed for `ttl`. Renewing revives nothing. */
  grantLease(ttl: Millis, signal: AbortSignal): Promise<string>;
  renewLease(lease: string, signal: AbortSignal): Promise<boolean>;
  revokeLease(lease: string, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Where a host keeps the newest plan it accepted, so that it obeys it from its first moment, and no older one ever. */
export interface PlanKeeper {
  load(signal: AbortSignal): Promise<HostPlan | undefined>;
  /** Durable when it resolves. */
  save(plan: HostPlan, signal: AbortSignal): Promise<void>;
}
