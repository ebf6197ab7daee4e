import type { ShapedPair, TrafficPlan } from "#protocol/host-plan.ts";
import { bestEffortPriority } from "./class-tree.ts";
import type { NetworkPlan } from "./port.ts";

/**
 * Whether two plans differ in nothing but rates, ceilings and priorities of the same classes: then only classes change,
 * and neither links nor rules need to be looked at. Pure.
 */
export function onlyRatesDiffer(before: NetworkPlan, after: NetworkPlan): boolean {
  return (
    sameList(before.shapedPairs, after.shapedPairs, samePair) &&
    sameList(before.traffic ?? [], after.traffic ?? [], sameTraffic) &&
    sameValue(before.segments, after.segments) &&
    sameValue(before.ports, after.ports)
  );
}

function samePair(a: ShapedPair, b: ShapedPair): boolean {
  return (
    a.fromMac === b.fromMac &&
    a.toMac === b.toMac &&
    a.network === b.network &&
    (a.ceilingBps === undefined) === (b.ceilingBps === undefined)
  );
}

/** Best effort without a promise has no class, so that these must stay as they are. */
function sameTraffic(a: TrafficPlan, b: TrafficPlan): boolean {
  const isSameBound = (one: keyof TrafficPlan): boolean => (a[one] === undefined) === (b[one] === undefined);
  return (
    a.appliance === b.appliance &&
    sameValue(a.macs, b.macs) &&
    a.priority < bestEffortPriority === b.priority < bestEffortPriority &&
    isSameBound("outBps") &&
    isSameBound("inBps") &&
    isSameBound("outCeilingBps") &&
    isSameBound("inCeilingBps")
  );
}

function sameList<Item>(
  a: readonly Item[],
  b: readonly Item[],
  same: (one: Item, other: Item) => boolean,
): boolean {
  if (a.length !== b.length) return false;
  for (const [at, one] of a.entries()) {
    const other = b[at];
    if (other === undefined || !same(one, other)) return false;
  }
  return true;
}

/** Of plain data. */
function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && sameList(a, b, sameValue);
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  return keys.every((key) => sameValue(left[key], right[key]));
}
