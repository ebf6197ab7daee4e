import { ipv4Address, macAddress } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { addressNumber, addressText } from "#base/ipv4.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu, bitsPerSecond } from "#base/units.ts";
import type { EnsembleRecord, InterfaceAllocation } from "#cluster/records.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { parseScenario } from "#formats/scenario.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { HostSpec, Topology } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import { hostRecordsOf } from "#sim/host-records.ts";

/** A cloud as it may be after years: sites of up to a thousand hosts, ten appliances on each, ten in an ensemble. */
const hostsPerSiteMost = 1000;
const perEnsemble = 10;
const hostsPerEnsemble = 5;
const networkPool = addressNumber("10.64.0.0");

export function largeCloud(hosts: number): CloudSnapshot {
  const topology = topologyOf(hosts);
  const cables = new Map(topology.links.map(({ a }, index) => [a, index]));
  const bySite = [...Map.groupBy(topology.hosts, (host) => host.site).values()];
  const groups = bySite.flatMap((site) =>
    Array.from({ length: Math.ceil(site.length / hostsPerEnsemble) }, (_, index) =>
      site.slice(index * hostsPerEnsemble, (index + 1) * hostsPerEnsemble),
    ),
  );
  // Each group of five hosts has five ensembles of ten appliances: ten appliances a host.
  const ensembles = groups.flatMap((group, index) =>
    Array.from({ length: group.length }, (_, each) =>
      recordOf(index * hostsPerEnsemble + each, group, cables),
    ),
  );
  return {
    format: "consort-snapshot/1",
    takenAtMs: 0,
    topology,
    hosts: hostRecordsOf(topology),
    standings: {},
    ensembles,
    tunnels: {},
    cpuUsedMilli: {},
  };
}

function topologyOf(hosts: number): Topology {
  const sites = Math.ceil(hosts / hostsPerSiteMost);
  const cloud = `{sites: ${sites}, hosts: ${Math.ceil(hosts / sites)}, cpu: 1600%, memory: 64GiB, uplink: 10Gbit/s}`;
  const parsed = parseScenario(`scenario: large\nduration: 1h\ncloud: ${cloud}\n`, { file: "large.yaml" });
  if (!parsed.ok || parsed.value.cloud.kind !== "topology") throw new Error("the large cloud is no scenario");
  return parsed.value.cloud.topology;
}

function recordOf(
  number: number,
  group: readonly HostSpec[],
  cables: ReadonlyMap<string, number>,
): EnsembleRecord {
  const cpu = { kind: "share" as const, shareMilli: milliCpu(500), limitMilli: milliCpu(1000) };
  const ensemble = sampleEnsemble(`e${number}`, {
    appliances: [
      sampleAppliance("web", {
        replicas: perEnsemble - 1,
        command: ["stay"],
        cpu,
        memoryBytes: mebibytes(512),
      }),
      sampleAppliance("db", { command: ["stay"], cpu, memoryBytes: mebibytes(1024), priority: 8 }),
    ],
    links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(1) })],
  });
  const appliances = appliancesOf(ensemble);
  // Two each on five hosts; the database is beside web-1.
  const placements = Object.fromEntries(
    appliances.map(({ id }, index) => [id, group[(index + 1) % group.length]!.id]),
  ) as Record<ApplianceId, HostId>;
  const base = networkPool + number * 256;
  const interfaces = Object.fromEntries(
    appliances.map(({ id }, index) => [id, [interfaceOf(number + 1, base, index + 2)]]),
  ) as Record<ApplianceId, InterfaceAllocation[]>;
  return {
    ensemble,
    state: "present",
    placements,
    paths: linksOf(ensemble).map((link) => {
      const [from, to] = [placements[link.from]!, placements[link.to]!];
      const connection = from === to ? ("trivial" as const) : ("intra-switch" as const);
      return {
        link,
        connection,
        nodes: from === to ? [from] : [from, `sw-${group[0]!.site}`, to],
        physicalLinks: from === to ? [] : [cables.get(from)!, cables.get(to)!],
        wireBps: wireRate(link.spec.bandwidthBps ?? bitsPerSecond(0), connection),
        latencyUs: micros(0),
      };
    }),
    networks: { lan: { vni: number + 1, subnet: `${addressText(base)}/24` } },
    interfaces,
    leaving: {},
    unleased: {},
    operation: "",
    revision: 1,
  };
}

function interfaceOf(vni: number, base: number, member: number): InterfaceAllocation {
  const digits = `02${vni.toString(16).padStart(6, "0")}${member.toString(16).padStart(4, "0")}`;
  return {
    network: "lan",
    mac: macAddress(digits.match(/../g)!.join(":")),
    address: ipv4Address(addressText(base + member)),
  };
}

/** What comes and goes in it: an ensemble of three. */
export const arriving = sampleEnsemble("job", {
  appliances: [sampleAppliance("run", { replicas: 3, command: ["stay"], memoryBytes: mebibytes(256) })],
});
