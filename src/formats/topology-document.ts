import { micros } from "#base/units.ts";
import { buildTopology, routerName, topologyDefaults } from "#formats/topology-build.ts";
import type { TopologyDocument } from "#formats/topology-schema.ts";
import { bandwidthText, bytesText, cpuShareText, durationUsText } from "#formats/units.ts";
import type { DispatchRules, HostSpec, PhysicalLink, SchedulingPolicy, Topology } from "#model/topology.ts";

/** A topology as plain JSON in the file's own vocabulary: in the short form where that says the same. */
export function topologyDocument(topology: Topology): TopologyDocument {
  const short = shortDocument(topology);
  return sameTopology(buildTopology(short).topology, topology) ? short : longDocument(topology);
}

/** What the short form would be if the topology has its shape; the caller finds out whether it has. */
function shortDocument({ sites, hosts, links }: Topology): TopologyDocument {
  const cables = new Map(links.map((link) => [`${link.a} ${link.b}`, link]));
  const wayOut = sites
    .map((site) => cables.get(`gw-${site.name} ${routerName}`))
    .find((link) => link !== undefined);
  const interSite =
    wayOut === undefined ? {} : cableFields({ ...wayOut, latencyUs: micros(wayOut.latencyUs * 2) });
  const bySite = Map.groupBy(hosts, (host) => host.site);
  return {
    sites: Object.fromEntries(
      sites.map(({ name, tunnel }) => {
        const own = (bySite.get(name) ?? []).map((host) => {
          const cable = cables.get(`${host.id} sw-${name}`);
          const fields = cable === undefined ? {} : cableFields(cable);
          const link = fields.latency === undefined ? fields.bandwidth : fields;
          return [host.id, { ...machineFields(host), ...(link === undefined ? {} : { link }) }] as const;
        });
        return [name, { ...tunnelField(tunnel), hosts: Object.fromEntries(own) }];
      }),
    ),
    ...(Object.keys(interSite).length === 0 ? {} : { interSite }),
  };
}

function longDocument({ sites, hosts, devices, links }: Topology): TopologyDocument {
  return {
    sites: Object.fromEntries(sites.map(({ name, tunnel }) => [name, tunnelField(tunnel)])),
    hosts: Object.fromEntries(hosts.map((host) => [host.id, { site: host.site, ...machineFields(host) }])),
    devices: Object.fromEntries(
      devices.map(({ id, kind, site }) => [id, { kind, ...(site === undefined ? {} : { site }) }]),
    ),
    links: links.map(cableList),
  };
}

function cableList(link: PhysicalLink): string[] {
  const { bandwidth, latency } = cableFields(link);
  if (latency !== undefined) return [link.a, link.b, bandwidthText(link.bandwidthBps), latency];
  return bandwidth === undefined ? [link.a, link.b] : [link.a, link.b, bandwidth];
}

function cableFields(link: PhysicalLink): { bandwidth?: string; latency?: string } {
  return {
    ...(link.bandwidthBps === topologyDefaults.bandwidthBps
      ? {}
      : { bandwidth: bandwidthText(link.bandwidthBps) }),
    ...(link.latencyUs === topologyDefaults.latencyUs ? {} : { latency: durationUsText(link.latencyUs) }),
  };
}

function machineFields(host: HostSpec): {
  cpu?: string;
  memory?: string;
  labels?: Record<string, string>;
  dispatch?: { policy?: SchedulingPolicy; quantum?: string };
} {
  return {
    ...(host.cpuMilli === topologyDefaults.cpuMilli ? {} : { cpu: cpuShareText(host.cpuMilli) }),
    ...(host.memoryBytes === topologyDefaults.memoryBytes ? {} : { memory: bytesText(host.memoryBytes) }),
    ...(Object.keys(host.labels).length === 0 ? {} : { labels: { ...host.labels } }),
    ...(host.dispatch === undefined ? {} : { dispatch: dispatchFields(host.dispatch) }),
  };
}

function dispatchFields({ policy, quantumUs }: DispatchRules): {
  policy?: SchedulingPolicy;
  quantum?: string;
} {
  return {
    ...(policy === topologyDefaults.policy ? {} : { policy }),
    ...(quantumUs === undefined ? {} : { quantum: durationUsText(quantumUs) }),
  };
}

function tunnelField(tunnel: Topology["sites"][number]["tunnel"]): { tunnel?: typeof tunnel } {
  return tunnel === topologyDefaults.tunnel ? {} : { tunnel };
}

/** Equal in everything, in order. */
function sameTopology(a: Topology, b: Topology): boolean {
  return flat(a) === flat(b);
}

function flat({ sites, hosts, devices, links }: Topology): string {
  return JSON.stringify([
    sites.map((site) => [site.name, site.tunnel]),
    hosts.map((host) => [
      host.id,
      host.site,
      host.cpuMilli,
      host.memoryBytes,
      Object.keys(host.labels)
        .toSorted()
        .map((key) => [key, host.labels[key]]),
      host.dispatch?.policy,
      host.dispatch?.quantumUs,
    ]),
    devices.map((device) => [device.id, device.kind, device.site]),
    links.map((link) => [link.a, link.b, link.bandwidthBps, link.latencyUs]),
  ]);
}
