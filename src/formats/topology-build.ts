import { hostId, siteName } from "#base/ids.ts";
import { bitsPerSecond, mebibytes, micros, milliCpu } from "#base/units.ts";
import type { BitsPerSecond, Micros } from "#base/units.ts";
import type { Finding, Path } from "#formats/problem.ts";
import type { TopologyDocument } from "#formats/topology-schema.ts";
import {
  parseBandwidth,
  parseBytes,
  parseCpuShare,
  parseDurationUs,
  parseQuantumUs,
} from "#formats/units.ts";
import type { Quantity } from "#formats/units.ts";
import type {
  Device,
  DispatchRules,
  HostSpec,
  PhysicalLink,
  SchedulingPolicy,
  Site,
  Topology,
} from "#model/topology.ts";

/** What a topology file leaves out. */
export const topologyDefaults = {
  tunnel: "wireguard",
  cpuMilli: milliCpu(1_000),
  memoryBytes: mebibytes(1024),
  bandwidthBps: bitsPerSecond(1e9),
  latencyUs: micros(0),
  policy: "rate-monotonic",
} as const;

/** The name of the router that joins sites in the short form. */
export const routerName = "router";

export type BuiltTopology = {
  readonly topology: Topology;
  /** Where each host, device and link was written, in the order of the topology's lists. */
  readonly origins: {
    readonly hosts: readonly Path[];
    readonly devices: readonly Path[];
    readonly links: readonly Path[];
  };
  readonly findings: readonly Finding[];
};

type Text = string | number | undefined;
type Machine = {
  readonly cpu?: Text;
  readonly memory?: Text;
  readonly labels?: Readonly<Record<string, unknown>> | undefined;
  readonly dispatch?: { readonly policy?: SchedulingPolicy | undefined; readonly quantum?: Text } | undefined;
};
type Cable = { readonly bandwidth?: Text; readonly latency?: Text };

/** From a document that fits the schema; short-form sites first, then what is written out. */
export function buildTopology(document: TopologyDocument): BuiltTopology {
  const build = new TopologyBuild();
  const shortForm = Object.values(document.sites).some((site) => site?.hosts !== undefined);
  if (shortForm) build.device({ id: routerName, kind: "router" }, ["sites"]);
  for (const [name, site] of Object.entries(document.sites))
    build.site(name, site ?? {}, document.interSite ?? {});
  for (const [name, host] of Object.entries(document.hosts ?? {}))
    build.host(name, host.site, host, ["hosts", name]);
  for (const [id, { kind, site }] of Object.entries(document.devices ?? {})) {
    build.device({ id, kind, ...(site === undefined ? {} : { site: siteName(site) }) }, ["devices", id]);
  }
  for (const [index, link] of (document.links ?? []).entries()) {
    const path: Path = ["links", index];
    if (Array.isArray(link)) build.shortLink(link.map(String), path);
    else build.link(link.between[0] ?? "", link.between[1] ?? "", link, path);
  }
  return build.done();
}

class TopologyBuild {
  readonly #sites: Site[] = [];
  readonly #hosts: HostSpec[] = [];
  readonly #devices: Device[] = [];
  readonly #links: PhysicalLink[] = [];
  readonly #origins: { hosts: Path[]; devices: Path[]; links: Path[] } = {
    hosts: [],
    devices: [],
    links: [],
  };
  readonly #findings: Finding[] = [];

  done(): BuiltTopology {
    const topology = { sites: this.#sites, hosts: this.#hosts, devices: this.#devices, links: this.#links };
    return { topology, origins: this.#origins, findings: this.#findings };
  }

  site(name: string, site: NonNullable<TopologyDocument["sites"][string]>, interSite: Cable): void {
    this.#sites.push({ name: siteName(name), tunnel: site.tunnel ?? topologyDefaults.tunnel });
    if (site.hosts === undefined) return;
    const path: Path = ["sites", name];
    const switchId = `sw-${name}`;
    const gatewayId = `gw-${name}`;
    this.device({ id: switchId, kind: "switch", site: siteName(name) }, path);
    this.device({ id: gatewayId, kind: "gateway", site: siteName(name) }, path);
    for (const [id, host] of Object.entries(site.hosts)) {
      const at: Path = [...path, "hosts", id];
      this.host(id, name, host ?? {}, at);
      const cable = host?.link;
      this.link(id, switchId, typeof cable === "object" ? cable : { bandwidth: cable }, at);
    }
    const { bandwidth, latency } = interSite;
    this.link(switchId, gatewayId, { bandwidth }, path);
    const wayOut = cableOf({ bandwidth, latency });
    // A frame passes two such cables from site to site: each carries half of the latency.
    this.#cable(
      gatewayId,
      routerName,
      { ...wayOut, latencyUs: micros(Math.ceil(wayOut.latencyUs / 2)) },
      path,
    );
  }

  host(id: string, site: string, machine: Machine, path: Path): void {
    const { cpu, memory, labels = {}, dispatch } = machine;
    this.#hosts.push({
      id: hostId(id),
      site: siteName(site),
      cpuMilli: cpu === undefined ? topologyDefaults.cpuMilli : read(parseCpuShare, cpu),
      memoryBytes: memory === undefined ? topologyDefaults.memoryBytes : read(parseBytes, memory),
      labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [key, String(value)])),
      ...(dispatch === undefined ? {} : { dispatch: dispatchRules(dispatch) }),
    });
    this.#origins.hosts.push(path);
  }

  device(device: Device, path: Path): void {
    this.#devices.push(device);
    this.#origins.devices.push(path);
  }

  link(a: string, b: string, cable: Cable, path: Path): void {
    this.#cable(a, b, cableOf(cable), path);
  }

  /** [a, b], [a, b, 1Gbit/s] or [a, b, 1Gbit/s, 50us]: the schema saw only texts here. */
  shortLink([a = "", b = "", bandwidth, latency]: readonly string[], path: Path): void {
    const faults = [
      bandwidth === undefined ? undefined : fault(parseBandwidth(bandwidth), bandwidth, [...path, 2]),
      latency === undefined ? undefined : fault(parseDurationUs(latency), latency, [...path, 3]),
    ].filter((finding) => finding !== undefined);
    if (faults.length > 0) this.#findings.push(...faults);
    else this.link(a, b, { bandwidth, latency }, path);
  }

  #cable(a: string, b: string, cable: { bandwidthBps: BitsPerSecond; latencyUs: Micros }, path: Path): void {
    this.#links.push({ a, b, ...cable });
    this.#origins.links.push(path);
  }
}

function dispatchRules({ policy, quantum }: NonNullable<Machine["dispatch"]>): DispatchRules {
  return {
    policy: policy ?? topologyDefaults.policy,
    ...(quantum === undefined ? {} : { quantumUs: read(parseQuantumUs, quantum) }),
  };
}

function cableOf({ bandwidth, latency }: Cable): { bandwidthBps: BitsPerSecond; latencyUs: Micros } {
  return {
    bandwidthBps: bandwidth === undefined ? topologyDefaults.bandwidthBps : read(parseBandwidth, bandwidth),
    latencyUs: latency === undefined ? topologyDefaults.latencyUs : read(parseDurationUs, latency),
  };
}

function fault(parsed: Quantity<unknown>, text: string, path: Path): Finding | undefined {
  if (parsed.ok) return undefined;
  const suggestion = parsed.suggestion === undefined ? {} : { suggestion: parsed.suggestion };
  return {
    path,
    message: `expected ${parsed.expected}, not ${JSON.stringify(text.slice(0, 60))}`,
    ...suggestion,
  };
}

/** The schema has refused what does not parse. */
function read<T>(parse: (text: string) => Quantity<T>, text: string | number): T {
  const parsed = parse(String(text));
  if (!parsed.ok) throw new TypeError(`the schema let ${text} pass`);
  return parsed.value;
}
