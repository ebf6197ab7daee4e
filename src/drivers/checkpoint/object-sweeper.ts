import { ConsortError } from "#base/errors.ts";
import { folderOf, partName, partsFolder, recordName } from "#drivers/checkpoint/object-store.ts";
import type { StorePlace, StoreSweeper } from "#drivers/checkpoint/port.ts";
import type { Place, Secret, Transfer } from "#drivers/transfer/port.ts";
import type { KeptInPlace } from "#model/checkpoint-chain.ts";

export type ObjectSweeperParts = {
  readonly transfer: Transfer;
  /** By its name. */
  readonly secretFor: (name: string, signal: AbortSignal) => Promise<Secret>;
};

/** Looks so often at what should be gone: what is removed may be listed for a moment still. */
const looksMax = 5;

/** Removes what checkpoints have left below places of ours in object stores (object-store.ts tells how they lie). */
export class ObjectSweeper implements StoreSweeper {
  readonly #parts: ObjectSweeperParts;

  constructor(parts: ObjectSweeperParts) {
    this.#parts = parts;
  }

  async sweep(at: StorePlace, keep: KeptInPlace, signal: AbortSignal): Promise<void> {
    const { transfer, secretFor } = this.#parts;
    const { credentials } = at;
    const secret = credentials === undefined ? {} : { secret: await secretFor(credentials, signal) };
    const folder = folderOf(at.place, at.appliance);
    const place = (path: string): Place => ({ url: `${folder}${path}`, ...secret });
    await transfer.abandonUploads(place(""), signal);
    const records = new Set(keep.records.map(recordName));
    const parts = new Set(keep.parts.map(partName));
    const isLeft = (name: string): boolean => name !== partsFolder && !records.has(name);
    await this.#removeAll(place, "", isLeft, signal);
    await this.#removeAll(place, `/${partsFolder}`, (name) => !parts.has(name), signal);
  }

  async #removeAll(
    place: (path: string) => Place,
    folder: string,
    isLeft: (name: string) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { transfer } = this.#parts;
    for (let look = 0; look < looksMax; look += 1) {
      const left = (await transfer.list(place(folder), signal)).filter(isLeft);
      if (left.length === 0) return;
      for (const name of left) await transfer.remove(place(`${folder}/${name}`), signal);
    }
    throw new ConsortError(
      "driver_failed",
      `Cannot empty ${place(folder).url}: what was removed there is still listed`,
    );
  }
}
