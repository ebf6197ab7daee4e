import type { SegmentMember, SegmentPlan, ShapedPair, TrafficPlan } from "#protocol/host-plan.ts";
import type { NetworkPlan, PortPlan } from "./port.ts";

/**
 * Plans that differ in nothing but rates and ceilings of the same classes: then only classes change, and neither links
 * nor rules need to be looked at. Pure.
 */

/** The part of `after` whose classes change, with all that shares a class with it; undefined where more than rates is new. */
export function changedPart(before: NetworkPlan, after: NetworkPlan): NetworkPlan | undefined {
  const [earlier, traffic] = [before.traffic ?? [], after.traffic ?? []];
  const isAlike =
    sameList(before.shapedPairs, after.shapedPairs, samePair) &&
    sameList(earlier, traffic, sameTraffic) &&
    sameList(before.segments, after.segments, sameSegment) &&
    sameList(before.ports, after.ports, samePort);
  if (!isAlike) return undefined;
  const changedPairs = after.shapedPairs.filter((pair, at) => !samePairRates(pair, before.shapedPairs[at]));
  const changedTraffic = new Set(traffic.filter((each, at) => !sameTrafficRates(each, earlier[at])));
  // What arrives is sorted for all together, and a link's rate counts in both directions.
  const isSorted = traffic.some(
    ({ inBps, inCeilingBps }) => inBps !== undefined || inCeilingBps !== undefined,
  );
  if (isSorted && changedPairs.length > 0)
    return { ...after, segments: before.segments, ports: before.ports };
  const macs = new Set<string>(changedPairs.map(({ fromMac }) => fromMac));
  const shares = traffic.filter((each) => changedTraffic.has(each) || each.macs.some((mac) => macs.has(mac)));
  const changed = new Set(changedPairs);
  const owned = new Set<string>(shares.flatMap((each) => each.macs));
  const pairs = after.shapedPairs.filter((pair) => owned.has(pair.fromMac) || changed.has(pair));
  // Segments and ports are equal, and what was found out about the earlier ones serves again.
  return { ...before, shapedPairs: pairs, traffic: shares };
}

function samePair(a: ShapedPair, b: ShapedPair): boolean {
  return (
    a.priority === b.priority &&
    a.fromMac === b.fromMac &&
    a.toMac === b.toMac &&
    a.network === b.network &&
    (a.ceilingBps === undefined) === (b.ceilingBps === undefined)
  );
}

function sameTraffic(a: TrafficPlan, b: TrafficPlan): boolean {
  return (
    a.appliance === b.appliance &&
    sameList(a.macs, b.macs, (one, other) => one === other) &&
    a.priority === b.priority &&
    (a.outBps === undefined) === (b.outBps === undefined) &&
    (a.inBps === undefined) === (b.inBps === undefined) &&
    (a.outCeilingBps === undefined) === (b.outCeilingBps === undefined) &&
    (a.inCeilingBps === undefined) === (b.inCeilingBps === undefined)
  );
}

const samePairRates = (a: ShapedPair, b: ShapedPair | undefined): boolean =>
  a.rateBps === b?.rateBps && a.ceilingBps === b.ceilingBps;

const sameTrafficRates = (a: TrafficPlan, b: TrafficPlan | undefined): boolean =>
  a.outBps === b?.outBps &&
  a.inBps === b?.inBps &&
  a.outCeilingBps === b?.outCeilingBps &&
  a.inCeilingBps === b?.inCeilingBps;

/** Members and ports are most of a plan; they are compared field by field, which is quicker. */
function sameSegment(a: SegmentPlan, b: SegmentPlan): boolean {
  return (
    sameList(a.members, b.members, sameMember) && sameValue({ ...a, members: [] }, { ...b, members: [] })
  );
}

function sameMember(a: SegmentMember, b: SegmentMember): boolean {
  return (
    a.mac === b.mac &&
    a.address === b.address &&
    a.hostAddress === b.hostAddress &&
    a.movesWith === b.movesWith &&
    a.appliance === b.appliance &&
    a.host === b.host &&
    a.name === b.name
  );
}

function samePort(a: PortPlan, b: PortPlan): boolean {
  const [one, other] = [a.interface, b.interface];
  return (
    one.mac === other.mac &&
    a.coming === b.coming &&
    a.netns === b.netns &&
    a.appliance === b.appliance &&
    one.network === other.network &&
    one.address === other.address &&
    one.prefixLength === other.prefixLength &&
    one.name === other.name
  );
}

function sameList<Item>(
  a: readonly Item[],
  b: readonly Item[],
  same: (one: Item, other: Item) => boolean,
): boolean {
  if (a.length !== b.length) return false;
  return a.every((one, at) => {
    const other = b[at];
    return other !== undefined && same(one, other);
  });
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
