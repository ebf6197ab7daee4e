import { ConsortError, messageOf } from "#base/errors.ts";
import { arrivalsFamily, arrivalsRuleset, arrivalsTable } from "./arrivals.ts";
import type { Nftables } from "./kernel/nftables.ts";
import type { KernelSocket } from "./kernel/route-socket.ts";
import { pairElements, receiverElements, showElements } from "./kernel/set-elements.ts";
import { arrivalsName, tunnelPrefix } from "./names.ts";
import { pairOf } from "./permissions.ts";
import type { Pair } from "./permissions.ts";
import type { Arrivals } from "./shaping.ts";

const nothing = "";

/** The rules that sort what arrives, in the kernel. */
export class ArrivalRules {
  readonly #nft: Pick<Nftables, "transact">;
  readonly #mark: string;
  /** Rules and what they are on; undefined: not known. */
  #state: string | undefined;

  constructor(nft: Pick<Nftables, "transact">, mark: string, arePresent: boolean) {
    this.#nft = nft;
    this.#mark = mark;
    this.#state = arePresent ? undefined : nothing;
  }

  /**
   * `indices` of links by name. Rules go before the link that sorts, and come after it and its classes. Where the
   * kernel cannot do this, whoever was promised something is told, and all else goes on: returns `unsupported`.
   */
  async change(
    arrivals: Arrivals | undefined,
    indices: ReadonlyMap<string, number>,
  ): Promise<readonly ConsortError[]> {
    const sorter = arrivalsName(this.#mark);
    const isPossible = arrivals !== undefined && indices.has(sorter);
    const ends = [...indices].filter(([name]) => name.startsWith(tunnelPrefix(this.#mark)));
    const names = ends.map(([name]) => name).toSorted();
    const rules = arrivalsRuleset(isPossible ? arrivals : undefined, names, sorter);
    // A tunnel end that was made anew has no rules, whatever was put there before.
    const state = isPossible ? [rules, ...ends, indices.get(sorter)].join() : nothing;
    if (this.#state === state) return [];
    this.#state = undefined;
    try {
      await this.#nft.transact(rules);
    } catch (cause) {
      return [cannotSort(cause)];
    }
    this.#state = state;
    return [];
  }
}

export function cannotSort(cause: unknown): ConsortError {
  return new ConsortError(
    "unsupported",
    `Cannot reserve incoming bandwidth: this machine's kernel lacks ifb links, or nftables forwarding at the ingress: ${messageOf(cause)}`,
    { cause },
  );
}

/** The classes of what arrives, by pair and by receiver, as the kernel shows them; empty where nothing is sorted. */
export function readArrivals(netfilter: KernelSocket): {
  readonly arriving: ReadonlyMap<Pair, number>;
  readonly receivers: ReadonlyMap<string, number>;
} {
  const shown = (map: string) => netfilter.dump(showElements(arrivalsTable, map, arrivalsFamily));
  const pairs = pairElements(shown("pairs"), { usedOnly: false });
  return {
    arriving: new Map(pairs.map(({ from, to, classId = 0 }) => [pairOf(from, to), classId & 0xffff])),
    receivers: new Map(
      receiverElements(shown("receivers")).map(({ mac, classId }) => [mac, classId & 0xffff]),
    ),
  };
}
