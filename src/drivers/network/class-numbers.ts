import { ConsortError } from "#base/errors.ts";
import type { MacAddress } from "#base/ids.ts";
import { networkLimits } from "./limits.ts";
import type { Pair } from "./permissions.ts";

/**
 * Minor numbers of classes. Pure. They must survive restarts of the manager, so everything here can be read back from
 * the kernel: pairs from the maps of the packet filter, what they are part of from the classes.
 *
 *   1        all traffic of the link          0x10 … 0xdfff  one pair each
 *   2        traffic without a promise        0xe000 …       two for each appliance: all of it, and what is no pair's
 */
export const rootMinor = 1;
export const bestEffortMinor = 2;
export const minorMin = 0x10;
export const minorMax = minorMin + networkLimits.shapedPairsMax - 1;
const slotsBegin = minorMax + 1;

/** A pair, and what its class is part of: the kernel cannot move a class, so that one that moves gets another number. */
export type ClassKey = string;
export const classKey = (pair: Pair, slot: number | undefined): ClassKey =>
  slot === undefined ? pair : `${pair} in ${slot}`;

/** Which of the numbered places of appliances each MAC address has. */
export type Slots = ReadonlyMap<string, number>;

export type ClassNumbers = {
  readonly slots: Slots;
  readonly out: ReadonlyMap<ClassKey, number>;
  readonly in: ReadonlyMap<ClassKey, number>;
};

export const allOf = (slot: number): number => slotsBegin + 2 * slot;
export const restOf = (slot: number): number => allOf(slot) + 1;

/** undefined for numbers of pairs and of the link's own classes. */
export function slotOf(minor: number): number | undefined {
  return minor < slotsBegin ? undefined : Math.floor((minor - slotsBegin) / 2);
}

/**
 * Keys keep the number they have; new ones get the lowest that is neither used nor was a moment ago. Throws
 * `limit_exceeded`.
 */
export function assignNumbers(
  keys: readonly ClassKey[],
  previous: ReadonlyMap<ClassKey, number>,
): ReadonlyMap<ClassKey, number> {
  const taken = new Set(previous.values());
  const numbers = new Map<ClassKey, number>();
  let next = minorMin;
  for (const key of keys) {
    const kept = previous.get(key);
    if (kept !== undefined) {
      numbers.set(key, kept);
      continue;
    }
    while (taken.has(next)) next += 1;
    if (next > minorMax) {
      throw new ConsortError(
        "limit_exceeded",
        `Cannot shape ${keys.length} pairs on one host: ${networkLimits.shapedPairsMax} is the most, old and new together`,
      );
    }
    numbers.set(key, next);
    next += 1;
  }
  return numbers;
}

/** As `assignNumbers`, for appliances by their addresses. Throws `limit_exceeded`. */
export function assignSlots(appliances: readonly (readonly MacAddress[])[], previous: Slots): Slots {
  const taken = new Set(previous.values());
  const slots = new Map<string, number>();
  let next = 0;
  for (const macs of appliances) {
    let slot = macs.map((mac) => previous.get(mac)).find((each) => each !== undefined);
    if (slot === undefined) {
      while (taken.has(next)) next += 1;
      slot = next;
      next += 1;
    }
    if (slot >= networkLimits.trafficClassesMax) {
      throw new ConsortError(
        "limit_exceeded",
        `Cannot shape the traffic of ${appliances.length} appliances on one host: ${networkLimits.trafficClassesMax} is the most, old and new together`,
      );
    }
    for (const mac of macs) slots.set(mac, slot);
  }
  return slots;
}
