import { hostId, ipv4Address, siteName } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import { allocate } from "#cluster/allocation.ts";
import type { EnsembleRecord, HostRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology, TunnelKind } from "#model/topology.ts";

const hosts = ["a1", "a2", "b1", "b2"].map(hostId);
const siteOf = (host: string): "alpha" | "beta" => (host.includes("a") ? "alpha" : "beta");

/** Two sites of two hosts each, for tests: a1, a2 and b1, b2 behind gateways gw-alpha and gw-beta. */
export function sampleTopology(tunnel: TunnelKind = "wireguard"): Topology {
  const link = (a: string, b: string) => ({
    a,
    b,
    bandwidthBps: megabitsPerSecond(1000),
    latencyUs: micros(50),
  });
  return {
    sites: [
      { name: siteName("alpha"), tunnel },
      { name: siteName("beta"), tunnel },
    ],
    hosts: hosts.map((id) => ({
      id,
      site: siteName(siteOf(id)),
      cpuMilli: milliCpu(1000),
      memoryBytes: mebibytes(1024),
      labels: {},
    })),
    devices: [
      { id: "sw-alpha", kind: "switch", site: siteName("alpha") },
      { id: "sw-beta", kind: "switch", site: siteName("beta") },
      { id: "gw-alpha", kind: "gateway", site: siteName("alpha") },
      { id: "gw-beta", kind: "gateway", site: siteName("beta") },
      { id: "router", kind: "router" },
    ],
    links: [
      ...hosts.map((host) => link(host, `sw-${siteOf(host)}`)),
      link("sw-alpha", "gw-alpha"),
      link("sw-beta", "gw-beta"),
      link("gw-alpha", "router"),
      link("gw-beta", "router"),
    ],
  };
}

export function sampleHosts(): Map<HostId, HostRecord> {
  const records = [...hosts, hostId("gw-alpha"), hostId("gw-beta")].map((id, index): HostRecord => {
    const gateway = id.startsWith("gw-");
    const site = gateway ? (id.slice(3) as "alpha" | "beta") : siteOf(id);
    const third = site === "alpha" ? 1 : 2;
    return {
      id,
      site: siteName(site),
      role: gateway ? "gateway" : "host",
      address: ipv4Address(`172.30.${third}.${gateway ? 1 : 11 + index}`),
      siteSubnet: `172.30.${third}.0/24`,
      capacity: {
        cpuMilli: milliCpu(1000),
        memoryBytes: mebibytes(1024),
        uplinkBps: megabitsPerSecond(1000),
      },
      labels: {},
      capabilities: gateway ? [] : ["appliance:task"],
      ...(gateway
        ? { outsideAddress: ipv4Address(`172.31.${third}.2`), tunnelPublicKey: `key-${site}` }
        : {}),
    };
  });
  return new Map(records.map((record) => [record.id, record]));
}

/** An ensemble whose appliances sit where `place` says, by name. */
export function sampleRecord(
  ensemble: Ensemble,
  place: Readonly<Record<string, string>>,
  others: readonly EnsembleRecord[] = [],
): EnsembleRecord {
  const placements = appliancesOf(ensemble).map(({ id, name }) => [id, hostId(place[name] ?? "a1")]);
  return {
    ensemble,
    state: "present",
    placements: Object.fromEntries(placements) as EnsembleRecord["placements"],
    paths: [],
    leaving: {},
    unleased: {},
    ...allocate(ensemble, undefined, others),
    operation: "op",
    revision: 1,
  };
}
