import { adaptationFamilies } from "#api/adaptation-metrics.ts";
import { family, labelText } from "#api/metric-family.ts";
import type { Labels, Sample } from "#api/metric-family.ts";
import { operationSchema } from "#protocol/http/operation.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { hostStatusSchema } from "#protocol/http/status.ts";
import type { EnsembleStatus, HostStatus, LinkStatus } from "#protocol/http/status.ts";

export type Measured = {
  readonly version: string;
  readonly hosts: readonly HostStatus[];
  readonly ensembles: readonly EnsembleStatus[];
  readonly operations: readonly Operation[];
};

/** The Prometheus text format 0.0.4: base units (cores, bytes, bits per second), one family after the other. */
export function metricsText(measured: Measured): string {
  const build = { labels: { version: measured.version }, value: 1 };
  return [
    family("consort_build_info", "gauge", "Version of the cluster manager.", [build]),
    ...hostFamilies(measured.hosts),
    ...applianceFamilies(measured.ensembles),
    ...linkFamilies(measured.ensembles),
    ...adaptationFamilies(measured.ensembles),
    family(
      "consort_operations",
      "gauge",
      "Operations kept, by kind and state.",
      counts(measured.operations, ({ kind, state }) => ({ kind, state })),
    ),
    family(
      "consort_recoveries",
      "gauge",
      "Recoveries after the loss of a host that are kept, by state.",
      operationSchema.shape.state.options.map((state) => ({
        labels: { state },
        value: measured.operations.filter((one) => one.kind === "recover" && one.state === state).length,
      })),
    ),
  ].join("");
}

function hostFamilies(hosts: readonly HostStatus[]): string[] {
  const gauge = (name: string, about: string, value: (host: HostStatus) => number): string =>
    family(
      name,
      "gauge",
      about,
      hosts.map((host) => ({
        labels: { host: host.id, site: host.site, role: host.role },
        value: value(host),
      })),
    );
  return [
    gauge("consort_host_up", "1 unless the host is silent.", (host) => (host.state === "lost" ? 0 : 1)),
    gauge("consort_host_converged", "1 when the host is as planned.", (host) =>
      host.state === "ready" ? 1 : 0,
    ),
    gauge(
      "consort_host_fenced",
      "1 while the host is granted no lease: what it ran was given to others.",
      (host) => (host.fenced ? 1 : 0),
    ),
    family(
      "consort_host_scheduling",
      "gauge",
      "1 for what the host is: open to new appliances, cordoned or draining.",
      hosts.flatMap((host) =>
        hostStatusSchema.shape.scheduling.options.map((scheduling) => ({
          labels: { host: host.id, site: host.site, role: host.role, scheduling },
          value: host.scheduling === scheduling ? 1 : 0,
        })),
      ),
    ),
    gauge("consort_host_cpu_cores", "Cores the host has.", (host) => host.cpuMilli / 1000),
    gauge("consort_host_cpu_reserved_cores", "Cores promised.", (host) => host.cpuReservedMilli / 1000),
    gauge("consort_host_cpu_used_cores", "Cores in use.", (host) => host.cpuUsedMilli / 1000),
    gauge("consort_host_memory_bytes", "Memory the host has.", (host) => host.memoryBytes),
    gauge("consort_host_memory_reserved_bytes", "Memory promised.", (host) => host.memoryReservedBytes),
    gauge("consort_host_memory_used_bytes", "Memory in use.", (host) => host.memoryUsedBytes),
    gauge("consort_host_uplink_bits_per_second", "Bandwidth of the host's uplink.", (host) => host.uplinkBps),
    family(
      "consort_tunnel_up",
      "gauge",
      "1 when the tunnel from this host to the other site is up.",
      hosts.flatMap((host) =>
        host.tunnels.map(({ peerSite, kind, up }) => ({
          labels: { host: host.id, site: host.site, peer_site: peerSite, kind },
          value: up ? 1 : 0,
        })),
      ),
    ),
  ];
}

function applianceFamilies(ensembles: readonly EnsembleStatus[]): string[] {
  const appliances = ensembles.flatMap((ensemble) => ensemble.appliances);
  const each = (value: (appliance: (typeof appliances)[number]) => number): Sample[] =>
    appliances.map((appliance) => ({
      labels: { ensemble: appliance.ensemble, appliance: appliance.name, host: appliance.host ?? "" },
      value: value(appliance),
    }));
  return [
    family(
      "consort_appliances",
      "gauge",
      "Appliances by state.",
      counts(appliances, ({ ensemble, state }) => ({ ensemble, state })),
    ),
    family(
      "consort_appliances_fenced",
      "gauge",
      "Appliances held because their host's lease has run out.",
      ensembles.map(({ name, appliances: own }) => ({
        labels: { ensemble: name },
        value: own.filter(({ state }) => state === "fenced").length,
      })),
    ),
    family(
      "consort_appliance_cpu_used_cores",
      "gauge",
      "Cores in use.",
      each((one) => one.cpuUsedMilli / 1000),
    ),
    family(
      "consort_appliance_memory_used_bytes",
      "gauge",
      "Memory in use.",
      each((one) => one.memoryUsedBytes),
    ),
    family(
      "consort_appliance_restarts_total",
      "counter",
      "Restarts on its host.",
      each((one) => one.restarts),
    ),
  ];
}

function linkFamilies(ensembles: readonly EnsembleStatus[]): string[] {
  const links = ensembles.flatMap(({ name, links: own }) => own.map((link) => ({ ensemble: name, link })));
  const directed = (forward: keyof LinkStatus, backward: keyof LinkStatus): Sample[] =>
    links.flatMap(({ ensemble, link }) => {
      const { network, from, to } = link;
      return [
        { labels: { ensemble, network, from, to }, value: Number(link[forward]) },
        { labels: { ensemble, network, from: to, to: from }, value: Number(link[backward]) },
      ];
    });
  const promised = links.flatMap(({ ensemble, link }) => {
    const { network, from, to, bandwidthBps } = link;
    return bandwidthBps === undefined
      ? []
      : [{ labels: { ensemble, network, from, to }, value: bandwidthBps }];
  });
  return [
    family(
      "consort_link_bytes_total",
      "counter",
      "Bytes carried, by direction.",
      directed("forwardBytes", "backwardBytes"),
    ),
    family(
      "consort_link_bits_per_second",
      "gauge",
      "Rate of late, by direction.",
      directed("forwardBps", "backwardBps"),
    ),
    family("consort_link_promised_bits_per_second", "gauge", "Promised bandwidth, each direction.", promised),
  ];
}

function counts<Item>(items: readonly Item[], labelsOf: (item: Item) => Labels): Sample[] {
  const groups = Map.groupBy(items, (item) => labelText(labelsOf(item)));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [{ labels: labelsOf(first), value: group.length }];
  });
}
