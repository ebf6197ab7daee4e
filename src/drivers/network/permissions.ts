import type { MacAddress, NetworkId } from "#base/ids.ts";
import type { SegmentPlan } from "#protocol/host-plan.ts";
import { portName } from "./names.ts";
import type { NetworkPlan } from "./port.ts";

/**
 * Who may send what to whom, as elements of two sets. Pure. The sets grow with the square of a segment's members,
 * so they are worked out again only for segments whose members changed.
 */

/** "<source MAC> . <destination MAC>", as nft writes a concatenation. */
export type Pair = string;
/** "<port> . <MAC> . <address>": what an appliance may call itself. */
export type Source = string;

/** Elements per segment, with a key that changes when they do. */
export type PermissionBook = ReadonlyMap<number, SegmentPermissions>;
export type SegmentPermissions = {
  readonly key: string;
  readonly network: NetworkId | undefined;
  readonly local: ReadonlySet<string>;
  readonly pairs: ReadonlySet<Pair>;
  readonly sources: ReadonlySet<Source>;
  /** Of the same form: who may ask for its address (as 0.0.0.0), and at which address it is answered. */
  readonly askers: ReadonlySet<Source>;
};

export type SetChange = {
  readonly addedPairs: readonly Pair[];
  readonly removedPairs: readonly Pair[];
  readonly addedSources: readonly Source[];
  readonly removedSources: readonly Source[];
  readonly addedAskers: readonly Source[];
  readonly removedAskers: readonly Source[];
};

export const pairOf = (from: string, to: string): Pair => `${from} . ${to}`;

/** What was read back from the kernel, not yet known to belong to a segment. */
export const recoveredSegment = -1;

export function turnPage(
  mark: string,
  book: PermissionBook,
  plan: NetworkPlan,
): { readonly book: PermissionBook; readonly change: SetChange } {
  const localByNetwork = new Map<NetworkId, Map<MacAddress, string>>();
  for (const { interface: card } of plan.ports) {
    const local = localByNetwork.get(card.network) ?? new Map<MacAddress, string>();
    local.set(card.mac, card.address);
    localByNetwork.set(card.network, local);
  }
  const next = new Map<number, SegmentPermissions>();
  const stale: SegmentPermissions[] = [];
  const fresh: SegmentPermissions[] = [];
  for (const segment of plan.segments) {
    const local = localByNetwork.get(segment.network) ?? new Map<MacAddress, string>();
    const key = keyOf(segment, local);
    const known = book.get(segment.vni);
    if (known?.key === key) {
      next.set(segment.vni, known);
      continue;
    }
    const permissions = permissionsOf(mark, segment, local, key);
    next.set(segment.vni, permissions);
    fresh.push(permissions);
  }
  for (const [vni, known] of book) if (next.get(vni) !== known) stale.push(known);
  const pairs = difference(fresh, stale, (each) => each.pairs);
  const sources = difference(fresh, stale, (each) => each.sources);
  const askers = difference(fresh, stale, (each) => each.askers);
  return {
    book: next,
    change: {
      addedPairs: pairs.added,
      removedPairs: pairs.removed,
      addedSources: sources.added,
      removedSources: sources.removed,
      addedAskers: askers.added,
      removedAskers: askers.removed,
    },
  };
}

/** Pairs permitted before and after whose class number is another one now. */
export function movedPairs(
  book: PermissionBook,
  added: readonly Pair[],
  before: ReadonlyMap<Pair, number>,
  after: ReadonlyMap<Pair, number>,
): readonly Pair[] {
  const changed = [
    ...[...before.keys()].filter((pair) => !after.has(pair)),
    ...[...after].filter(([pair, number]) => before.get(pair) !== number).map(([pair]) => pair),
  ];
  if (changed.length === 0) return [];
  const isNew = new Set(added);
  const segments = [...book.values()];
  return changed.filter((pair) => !isNew.has(pair) && segments.some((each) => each.pairs.has(pair)));
}

function keyOf(segment: SegmentPlan, local: ReadonlyMap<MacAddress, string>): string {
  const here = [...local].map(([mac, address]) => `${mac} ${address}`);
  const members = segment.members.map((member) => member.mac);
  return [segment.network, segment.naming?.address ?? "", ...here.sort(), "of", ...members.sort()].join(",");
}

/** Any two members with at least one of them here. */
function permissionsOf(
  mark: string,
  segment: SegmentPlan,
  local: ReadonlyMap<MacAddress, string>,
  key: string,
): SegmentPermissions {
  const pairs = new Set<Pair>();
  const sources = new Set<Source>();
  const askers = new Set<Source>();
  for (const [mac, address] of local) {
    const card = `${portName(mark, mac)} . ${mac}`;
    sources.add(`${card} . ${address}`);
    if (segment.naming !== undefined) {
      askers.add(`${card} . ${noAddress}`);
      askers.add(`${card} . ${segment.naming.address}`);
    }
    for (const member of segment.members) {
      if (member.mac === mac) continue;
      pairs.add(pairOf(mac, member.mac));
      pairs.add(pairOf(member.mac, mac));
    }
  }
  return { key, network: segment.network, local: new Set(local.keys()), pairs, sources, askers };
}

/** Of who has none yet. */
export const noAddress = "0.0.0.0";

function difference(
  fresh: readonly SegmentPermissions[],
  stale: readonly SegmentPermissions[],
  of: (permissions: SegmentPermissions) => ReadonlySet<string>,
): { readonly added: readonly string[]; readonly removed: readonly string[] } {
  const before = new Set(stale.flatMap((each) => [...of(each)]));
  const after = new Set(fresh.flatMap((each) => [...of(each)]));
  return {
    added: [...after].filter((element) => !before.has(element)),
    removed: [...before].filter((element) => !after.has(element)),
  };
}
