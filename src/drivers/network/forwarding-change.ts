import type { SegmentPlan } from "#protocol/host-plan.ts";
import { everyone } from "./kernel/forwarding.ts";
import type { ForwardingEntry } from "./kernel/forwarding.ts";

/** Where a segment's tunnel end sends frames. Pure. */
export type ForwardingChange = {
  readonly added: readonly ForwardingEntry[];
  readonly removed: readonly ForwardingEntry[];
};

/**
 * Broadcasts go to every peer, frames for a remote member to its host. What has no entry goes to every peer too: so it
 * is with a member that moves, which is reached wherever it is just now.
 */
export function wantedEntries(segment: SegmentPlan, local: string): readonly ForwardingEntry[] {
  const peers = new Set<string>(segment.peers);
  peers.delete(local);
  const broadcasts = [...peers].map((destination) => ({ mac: everyone, destination }));
  const members = segment.members
    .filter((member) => member.hostAddress !== local && member.movesWith === undefined)
    .map((member) => ({ mac: member.mac, destination: member.hostAddress }));
  return [...broadcasts, ...members];
}

/** A member that moved is only added: its new entry replaces the old one without a gap. */
export function forwardingChange(
  wanted: readonly ForwardingEntry[],
  present: readonly ForwardingEntry[],
): ForwardingChange {
  const keyOf = (entry: ForwardingEntry): string => `${entry.mac} ${entry.destination}`;
  const before = new Set(present.map(keyOf));
  const after = new Set(wanted.map(keyOf));
  const replaced = new Set(wanted.map((entry) => entry.mac).filter((mac) => mac !== everyone));
  return {
    added: wanted.filter((entry) => !before.has(keyOf(entry))),
    removed: present.filter((entry) => !after.has(keyOf(entry)) && !replaced.has(entry.mac)),
  };
}
