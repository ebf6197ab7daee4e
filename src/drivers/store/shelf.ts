import type { KeyChange } from "#drivers/store/commit-check.ts";

export type ShelfRow = { readonly key: string; readonly text: string; readonly revision: number };
export type ShelfChange = { readonly revision: number; readonly key: string; readonly text?: string };

/**
 * Where a store keeps its rows: synchronous and dumb. All rules (conditions, leases, watching) are in
 * shelved-store.ts, so that the embedded store and the fake cannot differ in them.
 */
export interface Shelf {
  /** Of the newest commit; 0 when there was none. */
  revision(): number;
  /** Changes up to and including this revision are forgotten. */
  forgotten(): number;
  get(key: string): ShelfRow | undefined;
  /** In key order. */
  list(prefix: string): readonly ShelfRow[];
  /** Makes all changes under the next revision and returns it; durable when it returns, and all or nothing. */
  apply(changes: readonly KeyChange[], endedLeases: readonly string[]): number;
  /** Changes with after < revision ≤ upTo under the prefix, in order. */
  changes(prefix: string, after: number, upTo: number): readonly ShelfChange[];
  keysOf(lease: string): readonly string[];
  leases(): readonly { readonly id: string; readonly ttlMs: number }[];
  addLease(id: string, ttlMs: number): void;
  close(): void;
}
