import type { NetworkId } from "#base/ids.ts";
import type { PairCounter } from "#protocol/host-report.ts";
import { pairOf, turnPage } from "./permissions.ts";
import type { PermissionBook } from "./permissions.ts";
import type { NetworkDriver, NetworkPlan } from "./port.ts";

/** What a host's kernel would hold; it stays when the driver goes. */
export class FakeHostNetwork {
  plan: NetworkPlan = { segments: [], ports: [], shapedPairs: [] };
  book: PermissionBook = new Map();
  readonly counters = new Map<string, PairCounter>();

  /** A frame from an appliance here: whether it is let through. It is counted. */
  send(frame: { readonly from: string; readonly to: string; readonly bytes: number }): boolean {
    for (const { network, local, pairs } of this.book.values()) {
      const pair = pairOf(frame.from, frame.to);
      if (network === undefined || !local.has(frame.from) || !pairs.has(pair)) continue;
      const counter = this.counters.get(pair);
      this.counters.set(pair, {
        network,
        fromMac: frame.from as PairCounter["fromMac"],
        toMac: frame.to as PairCounter["toMac"],
        packets: (counter?.packets ?? 0) + 1,
        bytes: (counter?.bytes ?? 0) + frame.bytes,
      });
      return true;
    }
    return false;
  }
}

/** A network driver whose kernel is a plain object; decides with the same functions as the real one. */
export function fakeNetworkDriver(host: FakeHostNetwork): NetworkDriver {
  let segments: readonly NetworkId[] = [];
  return {
    recover(signal) {
      signal.throwIfAborted();
      segments = host.plan.segments.map((segment) => segment.network);
      return Promise.resolve();
    },
    async converge(plan, signal) {
      await Promise.resolve();
      signal.throwIfAborted();
      const { book, change } = turnPage("fak", host.book, plan);
      for (const pair of change.removedPairs) host.counters.delete(pair);
      host.book = book;
      host.plan = plan;
      segments = plan.segments.map((segment) => segment.network);
    },
    async counters(signal) {
      await Promise.resolve();
      signal.throwIfAborted();
      return [...host.counters.values()];
    },
    segments: () => segments,
    close: () => Promise.resolve(),
  };
}
