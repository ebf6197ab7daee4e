import type { MacAddress } from "#base/ids.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { linkShares, wireRate } from "#model/wire.ts";
import type { ShapedPair, TrafficPlan } from "#protocol/host-plan.ts";
import { assignNumbers, assignSlots, classKey, restOf } from "./class-numbers.ts";
import type { ClassNumbers, Slots } from "./class-numbers.ts";
import { bestEffortPriority, classTree, leafClass } from "./class-tree.ts";
import type { Flow, LinkTree, Share, Trunk, WantedClass } from "./class-tree.ts";
import { arrivalsName, portName } from "./names.ts";
import { pairOf } from "./permissions.ts";
import type { Pair } from "./permissions.ts";
import type { NetworkPlan } from "./port.ts";

/**
 * Which classes must exist on which link, with their numbers. Pure.
 *
 * A pair whose receiver is elsewhere has a class on the uplink: guaranteed its rate, it borrows what others leave
 * up to its ceiling. An appliance with a traffic class has one too, with its pairs inside. What arrives for such
 * appliances from other hosts is sorted in the same way on a link of its own, before it reaches the segments. A pair
 * within this host never crosses the uplink; only its ceiling needs a class, on the receiver's port.
 */

export type Shaping = {
  readonly numbers: ClassNumbers;
  /** The class of every frame that has one of its own when it leaves an appliance here. */
  readonly directions: ReadonlyMap<Pair, number>;
  /** Absent: nothing that arrives is sorted. */
  readonly arrivals?: Arrivals;
  /** Link name → minor class number → class. The uplink is always there. */
  readonly classes: ReadonlyMap<string, LinkTree>;
};

/** Which frames from other hosts are sorted, and into which class. */
export type Arrivals = {
  readonly pairs: ReadonlyMap<Pair, number>;
  /** By the receiver's address, what is no pair's. */
  readonly receivers: ReadonlyMap<string, number>;
  /** All other frames too: a guarantee holds only against what is held back. */
  readonly everything: boolean;
};

export type ShapingSurroundings = {
  readonly mark: string;
  readonly uplink: { readonly interface: string; readonly bandwidthBps: BitsPerSecond };
};

export const noNumbers: ClassNumbers = { slots: new Map(), out: new Map(), in: new Map() };

export function wantedShaping(
  plan: NetworkPlan,
  previous: ClassNumbers,
  around: ShapingSurroundings,
): Shaping {
  const { local, far } = endsOf(plan);
  const traffic = (plan.traffic ?? []).filter(({ macs }) => macs.some((mac) => far.has(mac)));
  const slots = assignSlots(
    traffic.map(({ macs }) => macs),
    previous.slots,
  );
  const leaving = leavingFrames({ plan, local, far, traffic, slots, previous: previous.out }, around);
  const { trunk, shares } = inward(traffic, slots, around);
  const classes = new Map(leaving.classes);
  if (shares.length === 0)
    return { ...leaving, numbers: { slots, out: leaving.out, in: new Map() }, classes };

  const members = slotByMac(shares, traffic, slots);
  // A link promises the same in both directions, so that what a pair here may send, its other end may send here.
  const flows = plan.shapedPairs
    .filter((pair) => local.has(pair.fromMac) && !local.has(pair.toMac))
    .map((pair) => flowOf(pairOf(pair.toMac, pair.fromMac), pair.rateBps, pair, members.get(pair.fromMac)));
  const everything = traffic.some(({ inBps }) => inBps !== undefined);
  const sorted = everything ? flows : flows.filter(({ slot }) => slot !== undefined);
  const numbers = assignNumbers(
    sorted.map((flow) => classKey(flow.pair, flow.slot)),
    previous.in,
  );
  classes.set(arrivalsName(around.mark), classTree(trunk, shares, sorted, numbers));
  return {
    numbers: { slots, out: leaving.out, in: numbers },
    directions: leaving.directions,
    arrivals: {
      pairs: directionsOf(sorted, numbers),
      receivers: new Map([...members].map(([mac, slot]) => [mac, restOf(slot)])),
      everything,
    },
    classes,
  };
}

type Leaving = {
  readonly plan: NetworkPlan;
  readonly local: ReadonlySet<string>;
  readonly far: FarEnds;
  readonly traffic: readonly TrafficPlan[];
  readonly slots: Slots;
  readonly previous: ClassNumbers["out"];
};

function leavingFrames(
  { plan, local, far, traffic, slots, previous }: Leaving,
  { mark, uplink }: ShapingSurroundings,
): Pick<Shaping, "directions" | "classes"> & { readonly out: ClassNumbers["out"] } {
  const senders = traffic.filter(({ outBps, outCeilingBps, priority }) =>
    hasClass(priority, outBps, outCeilingBps),
  );
  const shares = senders.map(({ macs, outBps, outCeilingBps, priority }): Share => ({
    slot: slots.get(macs[0] ?? "") ?? 0,
    priority,
    ...(outBps === undefined ? {} : { rateBps: onWire(outBps) }),
    ...(outCeilingBps === undefined ? {} : { ceilingBps: onWire(outCeilingBps) }),
  }));
  const members = slotByMac(shares, senders, slots);
  const outward: Flow[] = [];
  const within: { readonly pair: ShapedPair; readonly flow: Flow }[] = [];
  for (const pair of plan.shapedPairs) {
    if (!local.has(pair.fromMac)) continue;
    const name = pairOf(pair.fromMac, pair.toMac);
    if (!local.has(pair.toMac)) {
      const wired = {
        ...pair,
        ...(pair.ceilingBps === undefined ? {} : { ceilingBps: onWire(pair.ceilingBps) }),
      };
      outward.push(flowOf(name, onWire(pair.rateBps), wired, members.get(pair.fromMac)));
    } else if (pair.ceilingBps !== undefined) {
      within.push({ pair, flow: flowOf(name, pair.rateBps, pair, undefined) });
    }
  }
  const flows = [...outward, ...within.map(({ flow }) => flow)];
  const out = assignNumbers(
    flows.map((flow) => classKey(flow.pair, flow.slot)),
    previous,
  );
  const trunk = linkShares(uplink.bandwidthBps);
  const classes = new Map<string, LinkTree>([[uplink.interface, classTree(trunk, shares, outward, out)]]);
  for (const { pair, flow } of within) {
    const number = out.get(flow.pair);
    if (number === undefined) continue;
    const link = portName(mark, pair.toMac);
    classes.set(link, new Map([...(classes.get(link) ?? []), [number, ceilingClass(pair)]]));
  }
  const directions = new Map<Pair, number>();
  for (const [mac, slot] of members) {
    for (const other of far.get(mac) ?? []) directions.set(pairOf(mac, other), restOf(slot));
  }
  for (const [pair, number] of directionsOf(flows, out)) directions.set(pair, number);
  return { out, directions, classes };
}

/** What arrives is counted without the tunnel's headers. Appliances with a class borrow in its order, promised or not. */
function inward(
  traffic: readonly TrafficPlan[],
  slots: Slots,
  { uplink }: ShapingSurroundings,
): { readonly trunk: Trunk; readonly shares: readonly Share[] } {
  const { paceBps, bestEffortBps } = linkShares(uplink.bandwidthBps);
  const trunk = { paceBps: offWire(paceBps), bestEffortBps: offWire(bestEffortBps) };
  const isSorted = traffic.some(
    ({ inBps, inCeilingBps }) => inBps !== undefined || inCeilingBps !== undefined,
  );
  if (!isSorted) return { trunk, shares: [] };
  const everything = traffic.some(({ inBps }) => inBps !== undefined);
  const shares = traffic
    .filter(({ inBps, inCeilingBps, priority }) =>
      hasClass(everything ? priority : bestEffortPriority, inBps, inCeilingBps),
    )
    .map(({ macs, inBps, inCeilingBps, priority }): Share => ({
      slot: slots.get(macs[0] ?? "") ?? 0,
      priority,
      ...(inBps === undefined ? {} : { rateBps: inBps }),
      ...(inCeilingBps === undefined ? {} : { ceilingBps: inCeilingBps }),
    }));
  return { trunk, shares };
}

/** Best effort without any promise is what all others have, too. */
const hasClass = (priority: number, rateBps: number | undefined, ceilingBps: number | undefined): boolean =>
  rateBps !== undefined || ceilingBps !== undefined || priority < bestEffortPriority;

const onWire = (rateBps: BitsPerSecond): BitsPerSecond => wireRate(rateBps, "intra-switch");
const offWire = (rateBps: BitsPerSecond): number => (rateBps * rateBps) / onWire(rateBps);

function flowOf(
  pair: Pair,
  rateBps: number,
  { ceilingBps, priority }: Pick<ShapedPair, "ceilingBps" | "priority">,
  slot: number | undefined,
): Flow {
  return {
    pair,
    rateBps,
    priority,
    ...(ceilingBps === undefined ? {} : { ceilingBps }),
    ...(slot === undefined ? {} : { slot }),
  };
}

function directionsOf(
  flows: readonly Flow[],
  numbers: ReadonlyMap<string, number>,
): ReadonlyMap<Pair, number> {
  return new Map(
    flows.flatMap(({ pair, slot }): [Pair, number][] => {
      const number = numbers.get(classKey(pair, slot));
      return number === undefined ? [] : [[pair, number]];
    }),
  );
}

function slotByMac(
  shares: readonly Share[],
  traffic: readonly TrafficPlan[],
  slots: Slots,
): ReadonlyMap<MacAddress, number> {
  const wanted = new Set(shares.map(({ slot }) => slot));
  const members = new Map<MacAddress, number>();
  for (const mac of traffic.flatMap(({ macs }) => macs)) {
    const slot = slots.get(mac);
    if (slot !== undefined && wanted.has(slot)) members.set(mac, slot);
  }
  return members;
}

/** Whom on other hosts an address here talks to; addresses that talk to nobody there are missing. */
type FarEnds = ReadonlyMap<string, readonly MacAddress[]>;
type Ends = { readonly local: ReadonlySet<string>; readonly far: FarEnds };

/** Kept with what they were found in: when rates change, nothing else does. */
const knownEnds = new WeakMap<NetworkPlan["ports"], Ends & Pick<NetworkPlan, "segments">>();

function endsOf({ ports, segments }: NetworkPlan): Ends {
  const known = knownEnds.get(ports);
  if (known?.segments === segments) return known;
  const local = new Set<string>(ports.map((port) => port.interface.mac));
  const far = new Map<string, readonly MacAddress[]>();
  for (const { members } of segments) {
    const elsewhere = members.filter(({ mac }) => !local.has(mac)).map(({ mac }) => mac);
    if (elsewhere.length === 0) continue;
    for (const { mac } of members) if (local.has(mac)) far.set(mac, elsewhere);
  }
  const ends = { local, far, segments };
  knownEnds.set(ports, ends);
  return ends;
}

function ceilingClass(pair: ShapedPair): WantedClass {
  const ceiling = pair.ceilingBps ?? pair.rateBps;
  return leafClass(ceiling, ceiling, pair.priority, 0);
}
