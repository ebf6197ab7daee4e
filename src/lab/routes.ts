import type { SiteAddresses } from "#lab/addresses.ts";
import type { LabInterface, LabNode } from "#lab/layout.ts";

/** `to` is a prefix or "default". */
export type Route = { readonly to: string; readonly via: string };
export type Wired = Pick<LabNode, "id" | "kind" | "siteIndex" | "interfaces">;

/** Hosts go by their gateway, gateways by their router, routers the fewest hops to each site. */
export function routesOf(
  node: Wired,
  nodes: readonly Wired[],
  sites: readonly SiteAddresses[],
): readonly Route[] {
  if (node.kind === "router") return sites.flatMap((site) => routesToSite(node, site, nodes));
  const via = node.kind === "switch" ? undefined : defaultGateway(node, nodes, sites);
  return via === undefined ? [] : [{ to: "default", via }];
}

function defaultGateway(
  node: Wired,
  nodes: readonly Wired[],
  sites: readonly SiteAddresses[],
): string | undefined {
  if (node.kind === "host") {
    const site = sites[node.siteIndex - 1];
    return site?.gateway === undefined ? undefined : site.gatewayAddress;
  }
  const wan = node.interfaces.find(({ name }) => name === "wan");
  return wan === undefined ? undefined : peerAddress(node, wan, nodes);
}

function routesToSite(router: Wired, site: SiteAddresses, nodes: readonly Wired[]): readonly Route[] {
  const out = nextHop(router, site, nodes);
  if (out === undefined) return [];
  const via = peerAddress(router, out, nodes);
  if (via === undefined) return [];
  const inside = { to: site.subnet, via };
  return out.peer === site.gateway ? [inside] : [inside, { to: site.outsideSubnet, via }];
}

/** The interface of `router` towards a site's gateway, breadth first over routers; the first cable wins a tie. */
export function nextHop(
  router: Wired,
  site: SiteAddresses,
  nodes: readonly Wired[],
): LabInterface | undefined {
  const seen = new Set([router.id]);
  let edge = router.interfaces.map((out) => ({ at: out.peer, out }));
  while (edge.length > 0) {
    const found = edge.find(({ at }) => at === site.gateway);
    if (found !== undefined) return found.out;
    const next: typeof edge = [];
    for (const { at, out } of edge) {
      if (seen.has(at)) continue;
      seen.add(at);
      const node = nodes.find(({ id }) => id === at);
      if (node?.kind === "router") next.push(...node.interfaces.map((via) => ({ at: via.peer, out })));
    }
    edge = next;
  }
  return undefined;
}

function peerAddress(node: Wired, out: LabInterface, nodes: readonly Wired[]): string | undefined {
  const peer = nodes.find(({ id }) => id === out.peer);
  return peer?.interfaces.find((back) => back.peer === node.id)?.address?.split("/")[0];
}
