import { hostId, ipv4Address } from "#base/ids.ts";
import { addressNumber, addressText } from "#base/ipv4.ts";
import { bitsPerSecond, bytes, milliCpu } from "#base/units.ts";
import type { HostRecord } from "#cluster/records.ts";
import type { Topology } from "#model/topology.ts";
import { simulatedCapabilities, simulatedKinds } from "#sim/drivers/appliances.ts";

/** Sites get 10.0.0.0/16, 10.1.0.0/16, …: below what ensembles are given. */
const siteSize = 2 ** 16;
const firstHost = 10;
const sitesBase = addressNumber("10.0.0.0");
const outsideBase = addressNumber("198.18.0.0");

/** The machines of a topology as their managers would tell of them: one for each host and each gateway. */
export function hostRecordsOf(topology: Topology): readonly HostRecord[] {
  const sites = new Map(topology.sites.map((site, index) => [site.name, { index, hosts: 0 }]));
  const uplinks = new Map(
    topology.links.flatMap((link) => [
      [link.b, link.bandwidthBps] as const,
      [link.a, link.bandwidthBps] as const,
    ]),
  );
  const hosts = topology.hosts.flatMap(({ id, site, cpuMilli, memoryBytes, labels }): HostRecord[] => {
    const at = sites.get(site);
    if (at === undefined) return [];
    const base = sitesBase + at.index * siteSize;
    const address = addressText(base + firstHost + at.hosts);
    at.hosts += 1;
    const capacity = { cpuMilli, memoryBytes, uplinkBps: uplinks.get(id) ?? bitsPerSecond(0) };
    const siteSubnet = `${addressText(base)}/16`;
    const capabilities = [...simulatedKinds.map((kind) => `appliance:${kind}`), ...simulatedCapabilities];
    return [{ id, site, role: "host", address, siteSubnet, capacity, labels, capabilities }];
  });
  const gateways = topology.devices.flatMap(({ id, kind, site }): HostRecord[] => {
    const at = site === undefined ? undefined : sites.get(site);
    if (kind !== "gateway" || site === undefined || at === undefined) return [];
    const base = sitesBase + at.index * siteSize;
    const capacity = {
      cpuMilli: milliCpu(1000),
      memoryBytes: bytes(2 ** 30),
      uplinkBps: uplinks.get(id) ?? bitsPerSecond(0),
    };
    return [
      {
        id: hostId(id),
        site,
        role: "gateway",
        address: ipv4Address(addressText(base + 1)),
        siteSubnet: `${addressText(base)}/16`,
        outsideAddress: addressText(outsideBase + at.index + 1),
        capacity,
        labels: {},
        capabilities: [],
      },
    ];
  });
  return [...hosts, ...gateways];
}
