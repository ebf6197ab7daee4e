import type { MacAddress } from "#base/ids.ts";
import type { KernelLink } from "./kernel/links.ts";
import { arrivalsName, bridgeName, portName, tunnelName } from "./names.ts";
import type { NetworkPlan, PortPlan } from "./port.ts";

/** Which links must exist, which do, and the steps between. Pure; the executor turns steps into messages. */

export type WantedLink =
  | { readonly kind: "bridge" | "ifb"; readonly name: string; readonly mtu: number; readonly alias: string }
  | {
      readonly kind: "vxlan";
      readonly name: string;
      readonly bridge: string;
      readonly mtu: number;
      readonly vni: number;
      readonly local: string;
      readonly offload: boolean;
      readonly alias: string;
    }
  | {
      readonly kind: "veth";
      readonly name: string;
      readonly bridge: string;
      readonly mtu: number;
      readonly mac: MacAddress;
      readonly port: PortPlan;
      readonly alias: string;
    };

export type LinkStep =
  | { readonly step: "make"; readonly link: WantedLink }
  /** Exists and is ours, but the last step of making it is missing or was undone. */
  | { readonly step: "finish"; readonly link: WantedLink; readonly index: number }
  | {
      readonly step: "mtu";
      readonly link: WantedLink;
      readonly index: number;
    }
  | { readonly step: "remove"; readonly name: string; readonly index: number };

/** A link as it is, and for a port whether its other end is in the namespace the plan names now. */
export type FoundLink = KernelLink & { readonly otherEndElsewhere?: boolean };

/** At the end of the alias of a port whose appliance is still on its way here. */
const comingMark = " coming";

export type LinkSurroundings = {
  readonly mark: string;
  readonly local: string;
  /** True for peers that are reached through a router. */
  readonly isFar: (peer: string) => boolean;
  /** Whether frames from other hosts are sorted here. */
  readonly sortsArrivals: boolean;
};

/** Nothing is ever refused for it: frames are given to this link, not sent over it. */
const sorterMtu = 1500;

/** Ports whose network has no segment in the plan get no link. */
export function wantedLinks(plan: NetworkPlan, around: LinkSurroundings): readonly WantedLink[] {
  const wanted: WantedLink[] = [];
  const segments = new Map(plan.segments.map((segment) => [segment.network, segment]));
  for (const { network, vni, mtu, peers } of plan.segments) {
    const bridge = bridgeName(around.mark, vni);
    wanted.push({ kind: "bridge", name: bridge, mtu, alias: network });
    // A router between sites may carry frames through a socket, where segments and checksums left to the
    // hardware never get done.
    const offload = !peers.some(around.isFar);
    const alias = `${network} from ${around.local}${offload ? "" : " without offload"}`;
    wanted.push({
      kind: "vxlan",
      name: tunnelName(around.mark, vni),
      bridge,
      mtu,
      vni,
      local: around.local,
      offload,
      alias,
    });
  }
  if (around.sortsArrivals) {
    wanted.push({ kind: "ifb", name: arrivalsName(around.mark), mtu: sorterMtu, alias: "from other hosts" });
  }
  for (const port of plan.ports) {
    const segment = segments.get(port.interface.network);
    if (segment === undefined) continue;
    const { name: inside, network, mac, address, prefixLength } = port.interface;
    wanted.push({
      kind: "veth",
      name: portName(around.mark, mac),
      bridge: bridgeName(around.mark, segment.vni),
      mtu: segment.mtu,
      mac,
      port,
      alias: `${network} ${port.appliance} ${inside} ${address}/${prefixLength}${port.guest === true ? " of its guest" : ""}${port.coming === true ? comingMark : ""}`,
    });
  }
  return wanted;
}

/**
 * Removals first (a new link may need the name or the address of an old one), then bridges before what goes into
 * them. A link is complete when it is up and carries its alias; otherwise it is finished or made again.
 */
export function linkSteps(
  wanted: readonly WantedLink[],
  found: ReadonlyMap<string, FoundLink>,
): readonly LinkStep[] {
  const removals: LinkStep[] = [];
  const rest: LinkStep[] = [];
  const kept = new Set<string>();
  for (const link of wanted) {
    const present = found.get(link.name);
    const reuse = present !== undefined && isReusable(link, present);
    if (!reuse) {
      rest.push({ step: "make", link });
      continue;
    }
    kept.add(link.name);
    if (present.mtu !== link.mtu) rest.push({ step: "mtu", link, index: present.index });
    const bridge = link.kind === "veth" || link.kind === "vxlan" ? link.bridge : undefined;
    const inPlace = bridge === undefined || (found.get(bridge)?.index === present.master && kept.has(bridge));
    if (!present.up || present.alias !== link.alias || !inPlace) {
      rest.push({ step: "finish", link, index: present.index });
    }
  }
  for (const { name, index } of found.values()) {
    if (!kept.has(name)) removals.push({ step: "remove", name, index });
  }
  return [...removals, ...rest];
}

/** A port's alias tells what is inside; without it, or with another one, nobody knows how far its making went. */
function isReusable(wanted: WantedLink, present: FoundLink): boolean {
  if (present.kind !== wanted.kind || present.leaving) return false;
  switch (wanted.kind) {
    case "bridge":
    case "ifb":
      return present.alias === wanted.alias || present.alias === "";
    case "vxlan":
      return present.alias.replace(" without offload", "") === wanted.alias.replace(" without offload", "");
    case "veth":
      return (
        // Once it has come, its port is finished with what is known only then.
        present.alias.replace(comingMark, "") === wanted.alias.replace(comingMark, "") &&
        present.otherEndElsewhere !== true
      );
    default:
      return wanted satisfies never;
  }
}
