import { ConsortError } from "#base/errors.ts";
import type { NetworkId } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";
import { readArrivals, ArrivalRules } from "./arrivals-executor.ts";
import { ClassBook, readTrees } from "./class-book.ts";
import { minorMin } from "./class-numbers.ts";
import type { ClassNumbers } from "./class-numbers.ts";
import type { ForwardingEntry } from "./kernel/forwarding.ts";
import { addressOf, linkOf, showAddresses, showLink } from "./kernel/links.ts";
import { ipv4Bytes } from "./kernel/netlink-codec.ts";
import type { Nftables } from "./kernel/nftables.ts";
import type { KernelSocket } from "./kernel/route-socket.ts";
import { pairElements, showElements, sourceElements } from "./kernel/set-elements.ts";
import type { SourceElement } from "./kernel/set-elements.ts";
import type { LinkExecutor } from "./link-executor.ts";
import { arrivalsName } from "./names.ts";
import { pairOf, recoveredSegment } from "./permissions.ts";
import type { Pair, PermissionBook, SegmentPermissions, Source } from "./permissions.ts";
import type { NetworkPlan } from "./port.ts";
import { recoveredNumbers } from "./recovered-numbers.ts";
import { htbMajor, tableName } from "./ruleset.ts";

type Uplink = { readonly interface: string; readonly address: string };

export type ReadBackParts = {
  readonly route: KernelSocket;
  readonly netfilter: KernelSocket;
  readonly nft: Nftables;
  readonly links: LinkExecutor;
  readonly mark: string;
  readonly uplink: Uplink;
  readonly log: Log;
};

/** What is in the kernel, as far as this process put it there or read it back. */
export type Known = {
  readonly uplinkIndex: number;
  readonly isFar: (peer: string) => boolean;
  book: PermissionBook;
  numbers: ClassNumbers;
  directions: ReadonlyMap<Pair, number>;
  readonly classes: ClassBook;
  /** By index of the tunnel end. */
  forwarding: Map<number, readonly ForwardingEntry[]>;
  /** Read back, they may be an older version's: the next converge writes them anew or removes them. */
  rules: "unknown" | "current" | "absent";
  readonly arrivals: ArrivalRules;
  /** What was made of it without any problem, and where: while nothing else changes, new rates need nothing but this. */
  settled?: { readonly plan: NetworkPlan; readonly indices: ReadonlyMap<string, number> };
};

/** What a process before this one put there; with the networks whose segments there are. */
export function readBack({ route, netfilter, nft, links, mark, uplink: own, log }: ReadBackParts): {
  known: Known;
  segments: readonly NetworkId[];
} {
  const elements = showPairs(netfilter, { usedOnly: false });
  const pairs = elements.map(({ from, to }) => pairOf(from, to));
  const sources = sourceElements(netfilter.dump(showElements(tableName, "sources"))).map(sourceText);
  const askers = sourceElements(netfilter.dump(showElements(tableName, "askers"))).map(sourceText);
  const present = links.observe(new Map());
  const bridges = [...present.values()].filter((link) => link.kind === "bridge");
  const segments = bridges.flatMap(({ alias }) => (alias === "" ? [] : [alias as NetworkId]));
  log.debug("read the network back", { mark, segments: bridges.length, pairs: pairs.length });
  const uplink = readUplink(route, own);
  const trees = readTrees(route, htbMajor);
  const leaving = classesOf(elements);
  const { arriving, receivers } = readArrivals(netfilter);
  const known: Known = {
    ...uplink,
    book: new Map([[recoveredSegment, recoveredPermissions(pairs, sources, askers)]]),
    numbers: recoveredNumbers({
      leaving,
      arriving,
      receivers,
      uplink: trees.get(uplink.uplinkIndex),
      sorter: trees.get(present.get(arrivalsName(mark))?.index ?? -1),
    }),
    arrivals: new ArrivalRules(nft, mark, receivers.size > 0),
    directions: leaving,
    classes: new ClassBook(route, htbMajor, trees),
    forwarding: new Map(),
    rules: "unknown",
  };
  return { known, segments };
}

function readUplink(
  route: KernelSocket,
  { interface: name, address }: Uplink,
): Pick<Known, "uplinkIndex" | "isFar"> {
  const [answer] = route.do([showLink(name)]);
  const message = answer?.messages[0];
  const link = message === undefined ? undefined : linkOf(message, name);
  if (link === undefined) {
    throw new ConsortError("driver_failed", `Cannot use uplink ${name}: there is no such interface`);
  }
  const own = route
    .dump(showAddresses())
    .map(addressOf)
    .find((each) => each.index === link.index && each.address.equals(ipv4Bytes(address)));
  if (own === undefined) {
    throw new ConsortError(
      "driver_failed",
      `Cannot use uplink ${name}: it does not have the address ${address}`,
    );
  }
  const networkOf = (bytes: Buffer): number =>
    Math.floor(bytes.readUInt32BE(0) / 2 ** (32 - own.prefixLength));
  const here = networkOf(own.address);
  return { uplinkIndex: link.index, isFar: (peer) => networkOf(ipv4Bytes(peer)) !== here };
}

/** Which pairs may talk; those that have, if so wanted. */
export function showPairs(
  netfilter: KernelSocket,
  wanted: { readonly usedOnly: boolean },
): ReturnType<typeof pairElements> {
  return pairElements(netfilter.dump(showElements(tableName, "pairs")), wanted);
}

/** Of pairs that have one of their own. */
function classesOf(elements: ReturnType<typeof pairElements>): ReadonlyMap<Pair, number> {
  return new Map(
    elements
      .map(({ from, to, classId = 0 }): [Pair, number] => [pairOf(from, to), classId & 0xffff])
      .filter(([, minor]) => minor >= minorMin),
  );
}

const sourceText = ({ port, mac, address }: SourceElement): Source => `${port} . ${mac} . ${address}`;

const recoveredPermissions = (
  pairs: readonly Pair[],
  sources: readonly Source[],
  askers: readonly Source[],
): SegmentPermissions => ({
  key: "",
  network: undefined,
  local: new Set(),
  pairs: new Set(pairs),
  sources: new Set(sources),
  askers: new Set(askers),
});
