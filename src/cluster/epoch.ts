import { keys } from "#cluster/records.ts";
import type { Store } from "#drivers/store/port.ts";

/** Raises the epoch, durably, before anything is sent under it. */
export async function takeEpoch(store: Store, signal: AbortSignal): Promise<number> {
  return raise(store, (kept) => kept + 1, signal);
}

/**
 * A host obeys a later epoch than this store knows of: another manager's, or this one's from before its store was
 * lost. The next one to take an epoch from this store takes a later one still.
 */
export async function noteEpoch(store: Store, seen: number, signal: AbortSignal): Promise<void> {
  await raise(store, (kept) => Math.max(kept, seen), signal);
}

async function raise(store: Store, next: (kept: number) => number, signal: AbortSignal): Promise<number> {
  for (;;) {
    const entry = await store.get(keys.epoch, signal);
    const epoch = next(typeof entry?.value === "number" ? entry.value : 0);
    const result = await store.commit(
      [{ put: keys.epoch, value: epoch }],
      [{ key: keys.epoch, revision: entry?.revision ?? 0 }],
      signal,
    );
    if (result.committed) return epoch;
  }
}
