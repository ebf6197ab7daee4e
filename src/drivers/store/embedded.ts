import type { Clock, Log, Random } from "#base/runtime.ts";
import type { Store } from "#drivers/store/port.ts";
import { ShelvedStore } from "#drivers/store/shelved-store.ts";
import { SqliteShelf } from "#drivers/store/sqlite-shelf.ts";

/**
 * The store of one process on one file, made with its directory when missing (readable by the owner only).
 * @throws `conflict` when another process has it open.
 */
export function openEmbeddedStore(options: { path: string; clock: Clock; random: Random; log: Log }): Store {
  const { path, ...rest } = options;
  return new ShelvedStore({ ...rest, shelf: new SqliteShelf(path) });
}
