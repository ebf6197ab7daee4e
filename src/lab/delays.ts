import { micros, type Micros } from "#base/units.ts";
import type { SiteAddresses } from "#lab/addresses.ts";
import { nextHop, type Wired } from "#lab/routes.ts";

/**
 * Latency between sites. This kernel family may lack netem, so a router sends what must wait into a TUN device,
 * one per distinct delay, whose reader writes it back when its time has come; from there the main table routes it.
 * A router makes up for the link a packet came in by, and for the link it leaves by when that ends at a gateway:
 * so every link of a path is counted once.
 */
export type DelayClass = {
  readonly device: string;
  readonly delayUs: Micros;
  /** Packets that came in by `from` for the prefixes `to`. */
  readonly paths: readonly { readonly from: string; readonly to: readonly string[] }[];
};

export function delaysOf(
  node: Wired,
  nodes: readonly Wired[],
  sites: readonly SiteAddresses[],
): readonly DelayClass[] {
  if (node.kind !== "router") return [];
  const paths = new Map<number, { from: string; to: readonly string[] }[]>();
  for (const site of sites) {
    const out = nextHop(node, site, nodes);
    if (out === undefined) continue;
    const last = out.peer === site.gateway ? out.latencyUs : 0;
    for (const from of node.interfaces) {
      const delayUs = from.latencyUs + last;
      if (from.name === out.name || delayUs === 0) continue;
      const same = paths.get(delayUs) ?? [];
      paths.set(delayUs, same);
      same.push({ from: from.name, to: [site.subnet, site.outsideSubnet] });
    }
  }
  return [...paths].map(([delayUs, list], index) => ({
    device: `delay${index + 1}`,
    delayUs: micros(delayUs),
    paths: list,
  }));
}
