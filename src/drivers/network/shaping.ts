import { bitsPerSecond } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { linkShares, wireRate } from "#model/wire.ts";
import type { ShapedPair } from "#protocol/host-plan.ts";
import type { HtbClass } from "./kernel/queueing.ts";
import { portName } from "./names.ts";
import { pairOf } from "./permissions.ts";
import type { Pair } from "./permissions.ts";
import type { NetworkPlan } from "./port.ts";

/**
 * Which classes must exist on which link, with their numbers. Pure.
 *
 * A pair whose receiver is elsewhere has a class on the uplink: guaranteed its rate, it borrows what others leave
 * up to its ceiling. A pair within this host never crosses the uplink; only its ceiling needs a class, on the
 * receiver's port.
 */

export const rootMinor = 1;
export const bestEffortMinor = 2;
export const minorMin = 0x10;
export const minorMax = 0xffff;

export type WantedClass = HtbClass & { readonly queueBytes: number };
/** Link name → minor class number → class. */
export type WantedClasses = ReadonlyMap<string, ReadonlyMap<number, WantedClass>>;

export type Shaping = {
  /** Every shaped pair's class number. */
  readonly numbers: ReadonlyMap<Pair, number>;
  readonly classes: WantedClasses;
};

const bestEffortPriority = 7;

export type ShapingSurroundings = {
  readonly mark: string;
  readonly uplink: { readonly interface: string; readonly bandwidthBps: BitsPerSecond };
};

/** Pairs keep the number they have; new ones get the lowest that is neither used nor was a moment ago. */
export function wantedShaping(
  plan: NetworkPlan,
  previous: ReadonlyMap<Pair, number>,
  around: ShapingSurroundings,
): Shaping {
  const local = new Set<string>(plan.ports.map((port) => port.interface.mac));
  const relevant = plan.shapedPairs.filter(
    (pair) => local.has(pair.fromMac) && (!local.has(pair.toMac) || pair.ceilingBps !== undefined),
  );
  const pairs = relevant.map((pair) => pairOf(pair.fromMac, pair.toMac));
  const numbers = assignNumbers(pairs, previous);
  const classes = new Map<string, Map<number, WantedClass>>();
  const { paceBps } = linkShares(around.uplink.bandwidthBps);
  relevant.forEach((pair, at) => {
    const number = numbers.get(pairs[at] ?? "");
    if (number === undefined) return;
    const link = local.has(pair.toMac) ? portName(around.mark, pair.toMac) : around.uplink.interface;
    const onLink = classes.get(link) ?? new Map<number, WantedClass>();
    onLink.set(number, local.has(pair.toMac) ? ceilingClass(pair) : uplinkClass(pair, paceBps));
    classes.set(link, onLink);
  });
  return { numbers, classes };
}

export function assignNumbers(
  pairs: readonly Pair[],
  previous: ReadonlyMap<Pair, number>,
): ReadonlyMap<Pair, number> {
  const taken = new Set(previous.values());
  const numbers = new Map<Pair, number>();
  let next = minorMin;
  for (const pair of pairs) {
    const kept = previous.get(pair);
    if (kept !== undefined) {
      numbers.set(pair, kept);
      continue;
    }
    while (taken.has(next)) next += 1;
    if (next > minorMax) break;
    numbers.set(pair, next);
    next += 1;
  }
  return numbers;
}

function uplinkClass(pair: ShapedPair, paceBps: BitsPerSecond): WantedClass {
  const rateBps = Math.min(wireRate(pair.rateBps, "intra-switch"), paceBps);
  const ceilBps =
    pair.ceilingBps === undefined ? paceBps : Math.min(wireRate(pair.ceilingBps, "intra-switch"), paceBps);
  return classFor(bitsPerSecond(rateBps), bitsPerSecond(Math.max(rateBps, ceilBps)), pair.priority);
}

function ceilingClass(pair: ShapedPair): WantedClass {
  const ceiling = pair.ceilingBps ?? pair.rateBps;
  return classFor(ceiling, ceiling, pair.priority);
}

/** The class all others are in, and the one for traffic without a promise. */
export function uplinkFrame(linkBps: BitsPerSecond): ReadonlyMap<number, WantedClass> {
  const { paceBps, bestEffortBps } = linkShares(linkBps);
  return new Map([
    [rootMinor, classFor(paceBps, paceBps, 0)],
    [bestEffortMinor, classFor(bestEffortBps, paceBps, bestEffortPriority)],
  ]);
}

const frameBytesMax = 1600;
/** The largest block a sender hands down at once; a shorter queue would refuse it whole. */
const blockBytesMax = 65_536;

/**
 * Bursts of a few milliseconds keep the rate exact on busy machines without filling switches' queues; the quantum
 * makes pairs of one priority share spare bandwidth in proportion to their rates; the queue holds some 50 ms.
 */
function classFor(rateBps: BitsPerSecond, ceilBps: BitsPerSecond, priority: number): WantedClass {
  const rateBytes = Math.max(1, Math.round(rateBps / 8));
  const ceilBytes = Math.max(rateBytes, Math.round(ceilBps / 8));
  return {
    rateBytes,
    ceilBytes,
    burstBytes: Math.max(5 * frameBytesMax, Math.round(rateBytes * 0.002)),
    ceilBurstBytes: Math.max(5 * frameBytesMax, Math.round(ceilBytes * 0.001)),
    quantumBytes: Math.min(60_000, Math.max(frameBytesMax, Math.round(rateBytes * 0.001))),
    priority: Math.min(7, Math.max(0, priority)),
    queueBytes: Math.max(2 * blockBytesMax, Math.round(rateBytes * 0.05)),
  };
}
