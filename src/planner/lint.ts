import type { ApplianceId, HostId } from "#base/ids.ts";
import { bitsPerSecond, milliCpu } from "#base/units.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ConnectionType, Device, Topology } from "#model/topology.ts";
import { wireRate } from "#model/wire.ts";
import { coveredBy, cpuDemandMilli, hostAllows, memoryDemandBytes } from "#planner/demand.ts";
import type { LinkPath, Mapping, MappingProblem, PlacedEnsemble, Placements } from "#planner/mapping.ts";
import { reservationsByHost, scheduleRefusal } from "#planner/reservations.ts";
import { trafficLoads } from "#planner/traffic.ts";
import { pinnedHost, wantedAppliances, wantedLinks } from "#planner/wanted.ts";

export type LintFinding = { readonly about: string; readonly message: string };

/**
 * Checks a mapping against its problem from the plain data alone, sharing none of the solver's arithmetic: what
 * the manager runs before it acts, and the oracle of the tests. Empty: the mapping may be carried out.
 */
export function lintMapping(
  problem: MappingProblem,
  mapping: Pick<Mapping, "placements" | "paths">,
): LintFinding[] {
  return [
    ...lintPlacements(problem, mapping.placements),
    ...lintCapacities(problem, mapping),
    ...lintSchedules(problem, mapping.placements),
    ...lintPaths(problem, mapping),
    ...lintRules(problem, mapping.placements),
  ];
}

function lintPlacements(problem: MappingProblem, placements: Placements): LintFinding[] {
  const hosts = new Map(problem.topology.hosts.map((host) => [host.id, host]));
  const known = new Set<ApplianceId>();
  const findings: LintFinding[] = [];
  for (const { id, spec } of wantedAppliances(problem)) {
    known.add(id);
    const chosen = placements.get(id);
    const pinned = pinnedHost(problem, id);
    if (pinned !== undefined) {
      if (chosen === pinned) continue;
      findings.push({ about: id, message: `${id} is pinned to ${pinned} and not there` });
    }
    const host = chosen === undefined ? undefined : hosts.get(chosen);
    if (host === undefined) findings.push({ about: id, message: `${id} has no host` });
    else if (!hostAllows(problem, host, spec)) {
      findings.push({ about: id, message: `${id} may not be on ${host.id}` });
    }
  }
  for (const id of placements.keys()) {
    if (!known.has(id)) findings.push({ about: id, message: `${id} is placed but was not asked for` });
  }
  return findings;
}

function lintCapacities(
  problem: MappingProblem,
  { placements, paths }: Pick<Mapping, "placements" | "paths">,
) {
  const findings: LintFinding[] = [];
  const cpu = new Map<HostId, number>();
  const memory = new Map<HostId, number>();
  const carried = new Map<number, number>();
  // Where others already took more than there is, only who adds to that is at fault.
  const touched = { cpu: new Set<HostId>(), memory: new Set<HostId>(), links: new Set<number>() };
  const add = <Key>(map: Map<Key, number>, key: Key, amount: number): void => {
    map.set(key, (map.get(key) ?? 0) + amount);
  };
  for (const { id, spec } of wantedAppliances(problem)) {
    const host = placements.get(id);
    if (host === undefined) continue;
    add(cpu, host, cpuDemandMilli(spec));
    add(memory, host, memoryDemandBytes(spec));
    if (cpuDemandMilli(spec) > 0) touched.cpu.add(host);
    if (memoryDemandBytes(spec) > 0) touched.memory.add(host);
  }
  for (const { physicalLinks, wireBps } of paths) {
    for (const physical of physicalLinks) {
      add(carried, physical, wireBps);
      if (wireBps > 0) touched.links.add(physical);
    }
  }
  for (const [physical, { bps }] of trafficLoads(
    problem.topology,
    wantedAppliances(problem),
    placements,
    paths,
  )) {
    add(carried, physical, bps);
    if (bps > 0) touched.links.add(physical);
  }
  for (const placed of problem.existing) {
    const taken = takingOf(placed, problem.topology);
    for (const [host, { cpuMilli, memoryBytes }] of taken.hosts) {
      if (touched.cpu.has(host)) add(cpu, host, cpuMilli);
      if (touched.memory.has(host)) add(memory, host, memoryBytes);
    }
    for (const [physical, rate] of taken.links) if (touched.links.has(physical)) add(carried, physical, rate);
  }
  const { held } = problem;
  held?.link.forEach((rate, index) => add(carried, index, rate));
  problem.topology.hosts.forEach((host, index) => {
    if (touched.cpu.has(host.id) && (cpu.get(host.id) ?? 0) + (held?.cpu[index] ?? 0) > host.cpuMilli)
      findings.push({ about: host.id, message: `${host.id}: CPU exceeded` });
    const memoryBytes = (memory.get(host.id) ?? 0) + (held?.memory[index] ?? 0);
    if (touched.memory.has(host.id) && memoryBytes > host.memoryBytes) {
      findings.push({ about: host.id, message: `${host.id}: memory exceeded` });
    }
  });
  problem.topology.links.forEach((link, index) => {
    if (!touched.links.has(index) || (carried.get(index) ?? 0) <= link.bandwidthBps) return;
    findings.push({ about: `${link.a} – ${link.b}`, message: `${link.a} – ${link.b}: bandwidth exceeded` });
  });
  return findings;
}

/** Every period of every reservation is kept, as the hosts themselves would admit them. */
function lintSchedules(problem: MappingProblem, placements: Placements): LintFinding[] {
  const hosts = new Map(problem.topology.hosts.map((host) => [host.id, host]));
  return [...reservationsByHost(problem, placements)].flatMap(([id, { machines }]) => {
    const refusal = scheduleRefusal(machines, hosts.get(id) ?? { cpuMilli: milliCpu(0) });
    return refusal === undefined ? [] : [{ about: id, message: `${id}: ${refusal.reason}` }];
  });
}

/** What one placed ensemble takes. Kept with it: most of what is placed is the same from one mapping to the next. */
type Taking = {
  readonly topology: Topology;
  readonly hosts: ReadonlyMap<HostId, { readonly cpuMilli: number; readonly memoryBytes: number }>;
  readonly links: ReadonlyMap<number, number>;
};

const takings = new WeakMap<PlacedEnsemble, Taking>();

function takingOf(placed: PlacedEnsemble, topology: Topology): Taking {
  const known = takings.get(placed);
  if (known?.topology === topology) return known;
  const hosts = new Map<HostId, { cpuMilli: number; memoryBytes: number }>();
  for (const { id, spec } of appliancesOf(placed.ensemble)) {
    const host = placed.placements.get(id);
    if (host === undefined) continue;
    const taken = hosts.get(host) ?? { cpuMilli: 0, memoryBytes: 0 };
    taken.cpuMilli += cpuDemandMilli(spec);
    taken.memoryBytes += memoryDemandBytes(spec);
    hosts.set(host, taken);
  }
  const links = new Map<number, number>();
  for (const { physicalLinks, wireBps } of placed.paths ?? []) {
    for (const physical of physicalLinks) links.set(physical, (links.get(physical) ?? 0) + wireBps);
  }
  const appliances = appliancesOf(placed.ensemble);
  for (const [physical, { bps }] of trafficLoads(
    topology,
    appliances,
    placed.placements,
    placed.paths ?? [],
  )) {
    links.set(physical, (links.get(physical) ?? 0) + bps);
  }
  const taking = { topology, hosts, links };
  takings.set(placed, taking);
  return taking;
}

function lintPaths(problem: MappingProblem, { placements, paths }: Pick<Mapping, "placements" | "paths">) {
  const findings: LintFinding[] = [];
  const key = (link: LinkPath["link"]): string => `${link.from} ${link.to} ${link.network}`;
  const byLink = new Map(paths.map((path) => [key(path.link), path]));
  const hosts: ReadonlySet<string> = new Set(problem.topology.hosts.map((host) => host.id));
  const devices = new Map(problem.topology.devices.map((device) => [device.id, device]));
  for (const link of wantedLinks(problem)) {
    const about = `${link.from} – ${link.to}`;
    const path = byLink.get(key(link));
    if (path === undefined) {
      findings.push({ about, message: `${about} has no path` });
      continue;
    }
    const wanted = bitsPerSecond(Math.ceil(link.spec.bandwidthBps ?? 0));
    if (path.nodes[0] !== placements.get(link.from) || path.nodes.at(-1) !== placements.get(link.to)) {
      findings.push({ about, message: `${about}: the path does not join the two hosts` });
    }
    if (!connects(problem.topology, hosts, path))
      findings.push({ about, message: `${about}: the path is broken` });
    if (path.connection !== connectionOf(devices, path.nodes)) {
      findings.push({ about, message: `${about}: the connection is not ${path.connection}` });
    }
    if (path.wireBps !== wireRate(wanted, path.connection)) {
      findings.push({
        about,
        message: `${about}: takes ${path.wireBps} bit/s, which is not what was promised`,
      });
    }
    if (path.connection === "inter-router" && link.spec.latency === "low") {
      findings.push({ about, message: `${about}: low latency over a router` });
    }
  }
  return findings;
}

function connects(topology: Topology, hosts: ReadonlySet<string>, path: LinkPath): boolean {
  if (path.nodes.length !== path.physicalLinks.length + 1) return false;
  if (path.nodes.slice(1, -1).some((node) => hosts.has(node))) return false;
  return path.physicalLinks.every((physical, at) => {
    const link = topology.links[physical];
    const [from, to] = [path.nodes[at], path.nodes[at + 1]];
    return link !== undefined && ((link.a === from && link.b === to) || (link.b === from && link.a === to));
  });
}

function connectionOf(devices: ReadonlyMap<string, Device>, nodes: readonly string[]): ConnectionType {
  if (nodes.length <= 1) return "trivial";
  if (nodes.length === 2) return "direct";
  const between = nodes.slice(1, -1).map((node) => devices.get(node));
  const sites = new Set(between.flatMap((device) => device?.site ?? []));
  if (sites.size > 1 || between.some((device) => device?.kind === "router")) return "inter-router";
  return between.length === 1 ? "intra-switch" : "inter-switch";
}

function lintRules(problem: MappingProblem, placements: Placements): LintFinding[] {
  const siteOf = new Map(problem.topology.hosts.map((host) => [host.id, host.site]));
  return problem.ensembles.flatMap((ensemble) =>
    ensemble.placement.flatMap((rule): LintFinding[] => {
      const places = [...coveredBy(rule, ensemble)].flatMap((id) => {
        const host = placements.get(id);
        return host === undefined ? [] : [rule.scope === "host" ? host : siteOf.get(host)];
      });
      const distinct = new Set(places).size;
      const kept = rule.rule === "together" ? distinct <= 1 : distinct === places.length;
      return kept
        ? []
        : [{ about: ensemble.name, message: `${rule.appliances.join(", ")}: not ${rule.rule}` }];
    }),
  );
}
