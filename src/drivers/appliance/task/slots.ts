import { readdirSync } from "node:fs";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Factory } from "#drivers/appliance/task/factory.ts";
import { netnsDirectory, slotOfGroup, slotOfNetns } from "#drivers/appliance/task/names.ts";
import { Slot } from "#drivers/appliance/task/slot.ts";
import type { SlotPlace } from "#drivers/appliance/task/slot.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";

/** Slots per host; uids, namespaces and groups are numbered by them. */
const slotsMax = 10_000;
const clearAgainMs = millis(500);

/** Which slots of a host are taken, and the way of one that is of no use to its end. */
export class Slots {
  readonly #place: SlotPlace;
  readonly #cgroups: Cgroups;
  readonly #factory: Factory;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #taken = new Set<number>();

  constructor(parts: { place: SlotPlace; cgroups: Cgroups; factory: Factory; clock: Clock; log: Log }) {
    this.#place = parts.place;
    this.#cgroups = parts.cgroups;
    this.#factory = parts.factory;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  /** All any trace of which is here, whoever made them. */
  left(): readonly Slot[] {
    const group = this.#cgroups.open(this.#place.cgroupParent);
    const traces = [
      ...readdirSync(this.#place.slotsDirectory).map(Number),
      ...group.children().map(slotOfGroup),
      ...filesIn(netnsDirectory).map((name) => slotOfNetns(this.#place.netnsPrefix, name)),
    ];
    const isIndex = (index: number | undefined): index is number => Number.isInteger(index);
    return [...new Set(traces.filter(isIndex))].map((index) => this.#slot(index));
  }

  /** One that is left is in use. */
  take({ index }: Slot): void {
    this.#taken.add(index);
  }

  /** One that nobody has, with its directory; refused with `limit_exceeded` where there is none. */
  reserve(): Slot {
    for (let index = 0; index < slotsMax; index += 1) {
      if (this.#taken.has(index)) continue;
      this.#taken.add(index);
      const slot = this.#slot(index);
      slot.reserve();
      return slot;
    }
    throw new ConsortError("limit_exceeded", `Cannot create a task appliance: ${slotsMax} are on this host`);
  }

  /** When this resolves nothing of it is left. */
  async remove(slot: Slot, signal: AbortSignal): Promise<void> {
    await slot.remove(this.#factory, signal);
    this.#taken.delete(slot.index);
  }

  /**
   * Of a slot of no use. `before` is done first; what cannot be done now is tried again later, all of it, until `signal`
   * aborts; then recovery does it.
   */
  async clearAway(slot: Slot, before: () => void, signal: AbortSignal): Promise<void> {
    try {
      before();
      await this.remove(slot, signal);
    } catch (cause) {
      if (signal.aborted) return;
      this.#log.warn(`Cannot clear away task slot ${slot.index}: ${messageOf(cause)}`, { cause });
      void this.#clock.sleep(clearAgainMs, signal).then(
        () => this.clearAway(slot, before, signal),
        () => {},
      );
    }
  }

  #slot(index: number): Slot {
    return new Slot(index, this.#place, this.#cgroups);
  }
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
