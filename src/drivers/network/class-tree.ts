import { allOf, bestEffortMinor, classKey, restOf, rootMinor } from "./class-numbers.ts";
import type { ClassKey } from "./class-numbers.ts";
import type { HtbClass } from "./kernel/queueing.ts";
import type { Pair } from "./permissions.ts";

/**
 * The classes of one link, as a tree. Pure. A class may always send its own rate; beyond it, it borrows what its
 * parent has left, and its parent what the link has left, the lowest priority number first.
 *
 *   all of the link ─┬─ traffic without a promise
 *                    ├─ a pair
 *                    └─ all of an appliance ─┬─ a pair of it, within its rate
 *                                            └─ the rest of it
 */

/** `parent` 0: directly on the link. */
export type WantedClass = HtbClass & {
  readonly parent: number;
  /** What may wait in it; absent where only classes below it hold frames. */
  readonly queueBytes?: number;
};
export type LinkTree = ReadonlyMap<number, WantedClass>;

/** All rates in bits per second, as this link counts them. */
export type Trunk = { readonly paceBps: number; readonly bestEffortBps: number };
/** All traffic of an appliance. */
export type Share = {
  readonly slot: number;
  readonly rateBps?: number;
  readonly ceilingBps?: number;
  readonly priority: number;
};
/** A pair; with a slot its traffic counts as the appliance's. */
export type Flow = {
  readonly pair: Pair;
  readonly slot?: number;
  readonly rateBps: number;
  readonly ceilingBps?: number;
  readonly priority: number;
};

export const bestEffortPriority = 7;
/** Of a class to which nothing was promised: it lives on what it borrows. */
const leastRateBps = 8000;

/** Parents come before their children. Flows without a number have no class. */
export function classTree(
  trunk: Trunk,
  shares: readonly Share[],
  flows: readonly Flow[],
  numbers: ReadonlyMap<ClassKey, number>,
): LinkTree {
  const classes = new Map<number, WantedClass>(frameOf(trunk));
  const promised = new Map<number, number>();
  for (const { slot, rateBps } of flows) {
    if (slot !== undefined) promised.set(slot, (promised.get(slot) ?? 0) + rateBps);
  }
  const rests = new Map<number, WantedClass>();
  for (const share of shares) {
    const { all, rest } = shareClasses(trunk, share, promised.get(share.slot) ?? 0);
    rests.set(share.slot, rest);
    classes.set(allOf(share.slot), all);
    classes.set(restOf(share.slot), rest);
  }
  for (const flow of flows) {
    const number = numbers.get(classKey(flow.pair, flow.slot));
    const rest = flow.slot === undefined ? undefined : rests.get(flow.slot);
    if (number !== undefined) classes.set(number, flowClass(trunk, flow, rest));
  }
  return classes;
}

/** The class all others are in, and the one for traffic without a promise. */
function frameOf({ paceBps, bestEffortBps }: Trunk): LinkTree {
  return new Map([
    [rootMinor, innerClass(paceBps, paceBps, 0)],
    [bestEffortMinor, leafClass(bestEffortBps, paceBps, bestEffortPriority, rootMinor)],
  ]);
}

/** What its pairs are promised is part of its rate; never less than that, nor more than the link. */
function shareClasses(
  trunk: Trunk,
  share: Share,
  promisedBps: number,
): { readonly all: WantedClass; readonly rest: WantedClass } {
  const restBps = Math.max(leastRateBps, (share.rateBps ?? 0) - promisedBps);
  const rateBps = Math.min(trunk.paceBps, promisedBps + restBps);
  const ceilBps = Math.min(trunk.paceBps, Math.max(rateBps, share.ceilingBps ?? trunk.paceBps));
  return {
    all: innerClass(rateBps, ceilBps, rootMinor),
    rest: leafClass(Math.min(restBps, rateBps), ceilBps, share.priority, allOf(share.slot)),
  };
}

/** Priority counts where a class borrows, also from the link: a pair is preferred as its appliance is, or more. */
function flowClass(trunk: Trunk, flow: Flow, rest: WantedClass | undefined): WantedClass {
  const rateBps = Math.min(flow.rateBps, trunk.paceBps);
  const most = Math.min(
    flow.ceilingBps ?? trunk.paceBps,
    rest === undefined ? trunk.paceBps : rest.ceilBytes * 8,
  );
  const ceilBps = Math.min(trunk.paceBps, Math.max(rateBps, most));
  const priority = Math.min(flow.priority, rest?.priority ?? flow.priority);
  return leafClass(rateBps, ceilBps, priority, rest?.parent ?? rootMinor);
}

const frameBytesMax = 1600;
/** The largest block a sender hands down at once; a shorter queue would refuse it whole. */
const blockBytesMax = 65_536;

/** A class that holds frames; its queue holds some 50 ms. */
export function leafClass(rateBps: number, ceilBps: number, priority: number, parent: number): WantedClass {
  const tree = bucketOf(rateBps, ceilBps, priority);
  return { ...tree, parent, queueBytes: Math.max(2 * blockBytesMax, Math.round(tree.rateBytes * 0.05)) };
}

function innerClass(rateBps: number, ceilBps: number, parent: number): WantedClass {
  return { ...bucketOf(rateBps, ceilBps, 0), parent };
}

/**
 * Bursts of a few milliseconds keep the rate exact on busy machines without filling switches' queues; the quantum
 * makes classes of one priority share spare bandwidth in proportion to their rates.
 */
export function bucketOf(rateBps: number, ceilBps: number, priority: number): HtbClass {
  const rateBytes = Math.max(1, Math.round(rateBps / 8));
  const ceilBytes = Math.max(rateBytes, Math.round(ceilBps / 8));
  return {
    rateBytes,
    ceilBytes,
    burstBytes: Math.max(5 * frameBytesMax, Math.round(rateBytes * 0.002)),
    ceilBurstBytes: Math.max(5 * frameBytesMax, Math.round(ceilBytes * 0.001)),
    quantumBytes: Math.min(60_000, Math.max(frameBytesMax, Math.round(rateBytes * 0.001))),
    priority: Math.min(7, Math.max(0, priority)),
  };
}
