import type { EnsembleStatus } from "#protocol/http/status.ts";

export type DiskRate = { readonly readBytesPerSecond: number; readonly writtenBytesPerSecond: number };

type Counted = { readonly readBytes: number; readonly writtenBytes: number };

/** Rates of guests' disks between two looks, for readers who keep no counters themselves. */
export class DiskRates {
  #before: { readonly atMs: number; readonly counted: ReadonlyMap<string, Counted> } | undefined;

  /** By "ensemble/appliance". Nothing of one that was not there at the look before, or began anew since. */
  look(ensembles: readonly EnsembleStatus[], atMs: number): ReadonlyMap<string, DiskRate> {
    const counted = new Map<string, Counted>();
    const rates = new Map<string, DiskRate>();
    const before = this.#before;
    const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1000;
    for (const { ensemble, name, guest } of ensembles.flatMap(({ appliances }) => appliances)) {
      if (guest === undefined) continue;
      const id = `${ensemble}/${name}`;
      counted.set(id, guest);
      const was = before?.counted.get(id);
      if (was === undefined || seconds <= 0) continue;
      const [read, written] = [guest.readBytes - was.readBytes, guest.writtenBytes - was.writtenBytes];
      if (read < 0 || written < 0) continue;
      rates.set(id, { readBytesPerSecond: read / seconds, writtenBytesPerSecond: written / seconds });
    }
    this.#before = { atMs, counted };
    return rates;
  }
}
