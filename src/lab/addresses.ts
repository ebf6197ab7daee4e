import { ConsortError } from "#base/errors.ts";
import type { SiteName } from "#base/ids.ts";
import type { Topology } from "#model/topology.ts";

/** Underlay addresses of one site. Site i (from 1) is 172.30.i.0/24: gateway .1, hosts from .11 in file order. */
export type SiteAddresses = {
  readonly site: SiteName;
  readonly index: number;
  readonly subnet: string;
  /** The /30 between gateway (.2) and router (.1). */
  readonly outsideSubnet: string;
  readonly gatewayAddress: string;
  readonly gateway?: string;
  /** Hosts and the gateway. */
  readonly nodes: ReadonlyMap<string, string>;
};

const firstHost = 11;
/** Host addresses .11 to .253 of a site's /24. */
export const hostsPerSiteMax = 243;
export const sitesMax = 200;

export function addressSite(site: SiteName, index: number, topology: Topology): SiteAddresses {
  const hosts = topology.hosts.filter((host) => host.site === site);
  if (hosts.length > hostsPerSiteMax || index > sitesMax) {
    throw new ConsortError(
      "limit_exceeded",
      `Cannot build the lab: site ${site} is number ${index} with ${hosts.length} hosts, wanted at most ${sitesMax} sites of ${hostsPerSiteMax} hosts`,
    );
  }
  const prefix = `172.30.${index}`;
  const nodes = new Map<string, string>(
    hosts.map((host, position) => [host.id, `${prefix}.${firstHost + position}`]),
  );
  const gateway = topology.devices.find((device) => device.kind === "gateway" && device.site === site);
  if (gateway !== undefined) nodes.set(gateway.id, `${prefix}.1`);
  return {
    site,
    index,
    subnet: `${prefix}.0/24`,
    outsideSubnet: `172.31.${index}.0/30`,
    gatewayAddress: `${prefix}.1`,
    nodes,
    ...(gateway === undefined ? {} : { gateway: gateway.id }),
  };
}
