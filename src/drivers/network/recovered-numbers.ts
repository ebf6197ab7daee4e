import { classKey, slotOf } from "./class-numbers.ts";
import type { ClassNumbers } from "./class-numbers.ts";
import type { Pair } from "./permissions.ts";
import type { KnownTree } from "./shaping-steps.ts";

/** What the kernel shows after a restart. */
export type ShownClasses = {
  /** Of frames that leave appliances, and of those that arrive from other hosts. */
  readonly leaving: ReadonlyMap<Pair, number>;
  readonly arriving: ReadonlyMap<Pair, number>;
  readonly receivers: ReadonlyMap<string, number>;
  readonly uplink: KnownTree | undefined;
  readonly sorter: KnownTree | undefined;
};

/** The numbers that were given, told from where frames are directed and which class each class is part of. Pure. */
export function recoveredNumbers(shown: ShownClasses): ClassNumbers {
  const slots = new Map<string, number>();
  const outward = new Map<string, number>();
  const inward = new Map<string, number>();
  for (const [pair, minor] of shown.leaving) {
    const slot = slotOf(minor) ?? slotOf(shown.uplink?.get(minor)?.parent ?? 0);
    if (slot !== undefined) slots.set(pair.split(" . ")[0] ?? "", slot);
    if (slotOf(minor) === undefined) outward.set(classKey(pair, slot), minor);
  }
  for (const [pair, minor] of shown.arriving) {
    const slot = slotOf(shown.sorter?.get(minor)?.parent ?? 0);
    if (slot !== undefined) slots.set(pair.split(" . ")[1] ?? "", slot);
    inward.set(classKey(pair, slot), minor);
  }
  for (const [mac, minor] of shown.receivers) {
    const slot = slotOf(minor);
    if (slot !== undefined) slots.set(mac, slot);
  }
  return { slots, out: outward, in: inward };
}
