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
    ...machineFamilies(hosts),
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

/** Of the machine below each host that tells of it. */
function machineFamilies(hosts: readonly HostStatus[]): string[] {
  type Machine = NonNullable<HostStatus["machine"]>;
  const of = (
    name: string,
    type: "gauge" | "counter",
    about: string,
    value: (machine: Machine) => number | undefined,
  ): string =>
    family(
      name,
      type,
      about,
      hosts.flatMap(({ id, site, role, machine }) => {
        const measured = machine === undefined ? undefined : value(machine);
        return measured === undefined ? [] : [{ labels: { host: id, site, role }, value: measured }];
      }),
    );
  return [
    of(
      "consort_host_load_average",
      "gauge",
      "Processes that run or wait, over a minute.",
      ({ load }) => load[0],
    ),
    of("consort_host_busy_cores", "gauge", "Cores that work, for whomever.", (one) => one.busyMilli / 1000),
    of(
      "consort_host_memory_available_bytes",
      "gauge",
      "Memory that programs could get.",
      (one) => one.memoryAvailableBytes,
    ),
    of("consort_host_disk_read_bytes_total", "counter", "Read from its disks.", (one) => one.readBytes),
    of(
      "consort_host_disk_written_bytes_total",
      "counter",
      "Written to its disks.",
      (one) => one.writtenBytes,
    ),
    of("consort_host_received_bytes_total", "counter", "Through its uplink.", (one) => one.inBytes),
    of("consort_host_sent_bytes_total", "counter", "Through its uplink.", (one) => one.outBytes),
  ];
}

type One = EnsembleStatus["appliances"][number];

type OfEach = (
  name: string,
  type: "gauge" | "counter",
  about: string,
  value: (appliance: One) => number | undefined,
) => string;

function applianceFamilies(ensembles: readonly EnsembleStatus[]): string[] {
  const appliances = ensembles.flatMap((ensemble) => ensemble.appliances);
  const of: OfEach = (name, type, about, value) =>
    family(
      name,
      type,
      about,
      appliances.flatMap((one) => {
        const measured = value(one);
        const labels = { ensemble: one.ensemble, appliance: one.name, host: one.host ?? "" };
        return measured === undefined ? [] : [{ labels, value: measured }];
      }),
    );
  const byState = counts(appliances, ({ ensemble, state }) => ({ ensemble, state }));
  const fenced = ensembles.map(({ name, appliances: own }) => ({
    labels: { ensemble: name },
    value: own.filter(({ state }) => state === "fenced").length,
  }));
  return [
    family("consort_appliances", "gauge", "Appliances by state.", byState),
    family(
      "consort_appliances_fenced",
      "gauge",
      "Appliances held because their host's lease has run out.",
      fenced,
    ),
    of("consort_appliance_cpu_used_cores", "gauge", "Cores in use.", (one) => one.cpuUsedMilli / 1000),
    of("consort_appliance_memory_used_bytes", "gauge", "Memory in use.", (one) => one.memoryUsedBytes),
    of("consort_appliance_restarts_total", "counter", "Restarts on its host.", (one) => one.restarts),
    of(
      "consort_appliance_received_bytes_total",
      "counter",
      "Over all its interfaces.",
      (one) => one.network?.inBytes,
    ),
    of(
      "consort_appliance_sent_bytes_total",
      "counter",
      "Over all its interfaces.",
      (one) => one.network?.outBytes,
    ),
    ...guestFamilies(of),
  ];
}

function guestFamilies(of: OfEach): string[] {
  return [
    of(
      "consort_guest_memory_bytes",
      "gauge",
      "Memory that the guest of a virtual machine has, as it tells itself.",
      (one) => one.guest?.memoryTotalBytes,
    ),
    of(
      "consort_guest_memory_available_bytes",
      "gauge",
      "Memory that programs in the guest could get, as it tells itself.",
      (one) => one.guest?.memoryAvailableBytes,
    ),
    of(
      "consort_guest_disk_read_bytes_total",
      "counter",
      "Read from the disks of the virtual machine.",
      (one) => one.guest?.readBytes,
    ),
    of(
      "consort_guest_disk_written_bytes_total",
      "counter",
      "Written to the disks of the virtual machine.",
      (one) => one.guest?.writtenBytes,
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
