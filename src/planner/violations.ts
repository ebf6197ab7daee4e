import type { ApplianceId, HostId } from "#base/ids.ts";
import {
  bitsPerSecond,
  bytes,
  formatBandwidth,
  formatBytes,
  formatCpu,
  formatDuration,
  micros,
  milliCpu,
  millis,
} from "#base/units.ts";
import type { Bytes, MilliCpu } from "#base/units.ts";
import type { BookedMachine } from "#control/scheduling/admission.ts";
import type { Refusal } from "#control/scheduling/refusal.ts";
import type { Appliance, ApplianceLink } from "#model/appliances.ts";
import type { CpuReservation, PlacementRule } from "#model/ensemble.ts";
import { abilitiesFor, coveredBy, cpuDemandMilli, hasDriver, memoryDemandBytes } from "#planner/demand.ts";
import { existingLoad } from "#planner/existing-load.ts";
import type { LinkPath, MappingProblem, Placements, Violation } from "#planner/mapping.ts";
import type { HostSpec } from "#model/topology.ts";
import {
  fittingPeriod,
  machineOf,
  reservationsByHost,
  scheduleRefusal,
  stayingMachines,
} from "#planner/reservations.ts";
import { trafficDemand, trafficLoads, trafficWithin } from "#planner/traffic.ts";
import { pinnedHost, wantedAppliances, wantedLinks } from "#planner/wanted.ts";

/** Every promise this placement breaks, for people: what, what is binding, what would have to change. */
export function findViolations(
  problem: MappingProblem,
  placements: Placements,
  paths: readonly LinkPath[],
): Violation[] {
  const apart = apartRules(problem);
  const onHosts = hostViolations(problem, placements);
  const exceeded = new Set(onHosts.flatMap((one) => (one.kind === "host-cpu" ? [one.host] : [])));
  return [
    ...unplaced(problem, placements),
    ...onHosts,
    ...scheduleViolations(problem, placements, exceeded),
    ...linkViolations(problem, placements, paths, apart),
    ...pathViolations(problem, placements, paths, apart),
    ...ruleViolations(problem, placements),
  ];
}

function unplaced(problem: MappingProblem, placements: Placements): Violation[] {
  const { hosts } = problem.topology;
  return wantedAppliances(problem).flatMap((appliance): Violation[] => {
    if (placements.has(appliance.id)) return [];
    const { spec, id } = appliance;
    const anchor = pinnedBeside(problem, id);
    if (anchor !== undefined) return [stranded(appliance, anchor)];
    const capable = hosts.filter((host) => hasDriver(problem, host, spec));
    if (capable.length === 0) return [unable(problem, appliance)];
    const wanted = requirement(appliance);
    return [
      {
        kind: "no-host",
        appliance: id,
        sites: spec.placement.sites ?? [],
        message: `Cannot place ${id}: none of ${capable.length} hosts that run its kind is allowed, wanted ${wanted}`,
        remedy: `Relax its placement (${wanted}), or add or bring back a host that meets it`,
      },
    ];
  });
}

/** No host at all can run it, wherever it may be. */
function unable(problem: MappingProblem, { id, spec }: Appliance): Violation {
  const { kind } = spec;
  const needs = abilitiesFor(spec);
  const runsKind = problem.topology.hosts.some((host) => hasDriver(problem, host, { kind }));
  const about = { kind: "no-driver", appliance: id, applianceKind: kind } as const;
  if (runsKind) {
    return {
      ...about,
      lacking: needs.filter((one) => one !== kind),
      message: `Cannot place ${id}: no guest runs in KVM on any of these hosts, wanted accel: kvm`,
      remedy: "Declare accel: auto, which does without where it has to, or add a host whose KVM works",
    };
  }
  return {
    ...about,
    lacking: needs,
    message: `Cannot place ${id}: no driver on these hosts for kind ${kind}`,
    remedy: `Add a host that runs appliances of kind ${kind}, or declare another kind`,
  };
}

type Anchor = { readonly appliance: ApplianceId; readonly host: HostId };

/** Someone pinned with whom the appliance must share a host. */
function pinnedBeside(problem: MappingProblem, id: ApplianceId): Anchor | undefined {
  for (const ensemble of problem.pinned === undefined ? [] : problem.ensembles) {
    for (const rule of ensemble.placement) {
      if (rule.rule !== "together" || rule.scope !== "host") continue;
      const covered = coveredBy(rule, ensemble);
      if (!covered.has(id)) continue;
      for (const appliance of covered) {
        const host = pinnedHost(problem, appliance);
        if (host !== undefined) return { appliance, host };
      }
    }
  }
  return undefined;
}

function stranded({ id, spec }: Appliance, anchor: Anchor): Violation {
  return {
    kind: "no-host",
    appliance: id,
    sites: spec.placement.sites ?? [],
    message: `Cannot place ${id}: it must be together with ${anchor.appliance}, which stays on ${anchor.host}, and that host may not take it now`,
    remedy: `Bring ${anchor.host} back, let ${anchor.appliance} move, or relax the rule`,
  };
}

function requirement({ spec }: Appliance): string {
  const { hosts, sites, labels } = spec.placement;
  const parts = [
    ...(hosts === undefined ? [] : [`host ${hosts.join(" or ")}`]),
    ...(sites === undefined ? [] : [`site ${sites.join(" or ")}`]),
    ...Object.entries(labels).map(([name, value]) => `label ${name}=${value}`),
  ];
  return parts.length === 0 ? "any usable host" : parts.join(", ");
}

function hostViolations(problem: MappingProblem, placements: Placements): Violation[] {
  const { hosts } = problem.topology;
  const load = existingLoad(problem);
  const on = new Map<HostId, Appliance[]>();
  for (const appliance of wantedAppliances(problem)) {
    const host = placements.get(appliance.id);
    if (host === undefined) continue;
    const list = on.get(host);
    if (list === undefined) on.set(host, [appliance]);
    else list.push(appliance);
  }
  return hosts.flatMap((host, index): Violation[] => {
    const found: Violation[] = [];
    const byCpu = (on.get(host.id) ?? []).filter(({ spec }) => cpuDemandMilli(spec) > 0);
    const byMemory = (on.get(host.id) ?? []).filter(({ spec }) => memoryDemandBytes(spec) > 0);
    const cpu = byCpu.reduce((sum, { spec }) => sum + cpuDemandMilli(spec), load.cpu[index]!);
    const memory = byMemory.reduce((sum, { spec }) => sum + memoryDemandBytes(spec), load.memory[index]!);
    if (byCpu.length > 0 && cpu > host.cpuMilli) {
      found.push({
        kind: "host-cpu",
        host: host.id,
        wantedMilli: milliCpu(cpu),
        capacityMilli: host.cpuMilli,
        appliances: byCpu.map((one) => one.id),
        message: `Cannot reserve CPU on ${host.id}: it has ${hasCpu(host.cpuMilli, load.cpu[index]!)}, wanted ${formatCpu(milliCpu(cpu - load.cpu[index]!))} for ${names(byCpu.map((one) => one.id))}`,
        remedy: `Ask for ${formatCpu(milliCpu(cpu - host.cpuMilli))} less CPU${largest(problem, host, byCpu, cpu - host.cpuMilli)}, or add hosts`,
      });
    }
    if (byMemory.length > 0 && memory > host.memoryBytes) {
      found.push({
        kind: "host-memory",
        host: host.id,
        wantedBytes: bytes(memory),
        capacityBytes: host.memoryBytes,
        appliances: byMemory.map((one) => one.id),
        message: `Cannot reserve memory on ${host.id}: it has ${hasMemory(host.memoryBytes, load.memory[index]!)}, wanted ${formatBytes(bytes(memory - load.memory[index]!))} for ${names(byMemory.map((one) => one.id))}`,
        remedy: `Ask for ${formatBytes(bytes(memory - host.memoryBytes))} less memory, or add hosts`,
      });
    }
    return found;
  });
}

/** "150%"; where others have some of it, "150%, 55% of it free". */
const hasCpu = (cpuMilli: MilliCpu, takenMilli: number): string =>
  takenMilli === 0
    ? formatCpu(cpuMilli)
    : `${formatCpu(cpuMilli)}, ${formatCpu(milliCpu(Math.max(0, cpuMilli - takenMilli)))} of it free`;

const hasMemory = (memoryBytes: Bytes, taken: number): string =>
  taken === 0
    ? formatBytes(memoryBytes)
    : `${formatBytes(memoryBytes)}, ${formatBytes(bytes(Math.max(0, memoryBytes - taken)))} of it free`;

/** What one of them alone could have instead, as a clause: the one who would lose least. Empty: giving less of one is not enough. */
function largest(
  problem: MappingProblem,
  { id: host, cpuMilli }: HostSpec,
  wanted: readonly Appliance[],
  excessMilli: number,
): string {
  const asked = wanted
    .filter(({ spec }) => cpuDemandMilli(spec) > excessMilli)
    .toSorted((a, b) => cpuDemandMilli(b.spec) - cpuDemandMilli(a.spec));
  for (const one of asked) {
    const { cpu } = one.spec;
    if (cpu === undefined) continue;
    const leftMilli = milliCpu(cpuDemandMilli(one.spec) - excessMilli);
    if (cpu.kind === "share") return `, for example at most ${formatCpu(leftMilli)} for ${one.id}`;
    const executionUs = micros(Math.floor((leftMilli * cpu.periodUs) / 1000));
    if (executionUs < 1) continue;
    const less = { ...one, spec: { ...one.spec, cpu: { ...cpu, executionUs } } };
    const staying = stayingMachines(problem).get(host) ?? [];
    const machines = [...wanted.filter((other) => other !== one), less].flatMap(
      (each) => machineOf(each) ?? [],
    );
    if (scheduleRefusal([...staying, ...machines], cpuMilli) !== undefined) continue;
    return `, for example at most ${reservationText({ ...cpu, executionUs })} for ${one.id}`;
  }
  return "";
}

const reservationText = ({
  executionUs,
  periodUs,
}: Pick<CpuReservation, "executionUs" | "periodUs">): string =>
  [executionUs, periodUs].map((us) => formatDuration(millis(us / 1000))).join("/");

type ApartRule = { readonly rule: PlacementRule; readonly covered: ReadonlySet<ApplianceId> };

function apartRules(problem: MappingProblem): ApartRule[] {
  return problem.ensembles.flatMap((ensemble) =>
    ensemble.placement
      .filter(({ rule }) => rule === "apart")
      .map((rule) => ({ rule, covered: coveredBy(rule, ensemble) })),
  );
}

/** The rule that keeps the ends of one of these links from coming together, as a clause; empty when none does. */
function keptApart(apart: readonly ApartRule[], links: readonly ApplianceLink[], scope?: "site"): string {
  for (const { rule, covered } of apart) {
    if (scope !== undefined && rule.scope !== scope) continue;
    if (!links.some((link) => covered.has(link.from) && covered.has(link.to))) continue;
    return `, and the rule that keeps ${rule.appliances.join(", ")} apart forbids them one ${rule.scope}`;
  }
  return "";
}

/** Enough in sum, but not in time: of hosts whose sums are kept. */
function scheduleViolations(
  problem: MappingProblem,
  placements: Placements,
  exceeded: ReadonlySet<HostId>,
): Violation[] {
  const hosts = new Map(problem.topology.hosts.map((host) => [host.id, host]));
  return [...reservationsByHost(problem, placements)].flatMap(([id, { machines }]): Violation[] => {
    const host = exceeded.has(id) ? undefined : hosts.get(id);
    const refusal = host === undefined ? undefined : scheduleRefusal(machines, host.cpuMilli);
    if (host === undefined || refusal === undefined) return [];
    const { machine, reason, largestUs } = refusal;
    return [
      {
        kind: "host-schedule",
        host: id,
        appliance: machine as ApplianceId,
        largestUs: micros(largestUs),
        message: `Cannot keep every period on ${id} (${formatCpu(host.cpuMilli)}): ${reason}`,
        remedy: `${scheduleRemedy(refusal, machines, host.cpuMilli)}; or declare enforcement: bandwidth, or add hosts`,
      },
    ];
  });
}

function scheduleRemedy(
  { code, machine, largestUs }: Refusal & { readonly largestUs: number },
  machines: readonly BookedMachine[],
  cpuMilli: MilliCpu,
): string {
  if (code === "teams") return `Give the teams of ${machine} less, or periods that are multiples of its own`;
  if (largestUs > 0)
    return `Ask for less for ${machine}: at most ${formatDuration(millis(largestUs / 1000))} of its period would fit there`;
  const other = fittingPeriod(machine, machines, cpuMilli);
  return other === undefined
    ? `Ask for another period for ${machine}, or less for others there: nothing more fits there in its period`
    : `Ask for another period for ${machine}: ${reservationText(other)} would fit there`;
}

function linkViolations(
  problem: MappingProblem,
  placements: Placements,
  paths: readonly LinkPath[],
  apart: readonly ApartRule[],
): Violation[] {
  const { topology } = problem;
  const load = existingLoad(problem).link;
  const users = topology.links.map((): LinkPath[] => []);
  for (const path of paths) {
    if (path.wireBps === 0) continue;
    for (const physical of path.physicalLinks) {
      load[physical]! += path.wireBps;
      users[physical]!.push(path);
    }
  }
  const traffic = trafficLoads(topology, wantedAppliances(problem), placements, paths);
  for (const [physical, { bps }] of traffic) load[physical]! += bps;
  return topology.links.flatMap((physical, index): Violation[] => {
    const wanted = load[index]!;
    const crossing = users[index]!;
    const promised = traffic.get(index);
    if ((crossing.length === 0 && promised === undefined) || wanted <= physical.bandwidthBps) return [];
    const excess = formatBandwidth(bitsPerSecond(wanted - physical.bandwidthBps));
    const own = crossing.reduce((sum, path) => sum + path.wireBps, promised?.bps ?? 0);
    const free = formatBandwidth(bitsPerSecond(Math.max(0, physical.bandwidthBps - wanted + own)));
    const ruled = keptApart(
      apart,
      crossing.map(({ link }) => link),
    );
    const asked = crossing.reduce((sum, { link }) => sum + (link.spec.bandwidthBps ?? 0), 0);
    const headers = promised !== undefined || own > asked ? " with tunnel headers" : "";
    const whose = [
      ...crossing.map(({ link }) => `${link.from}–${link.to}`),
      ...(promised?.appliances ?? []).map((id) => `all traffic of ${id}`),
    ];
    return [
      {
        kind: "link-bandwidth",
        physicalLink: index,
        a: physical.a,
        b: physical.b,
        wantedBps: bitsPerSecond(wanted),
        capacityBps: physical.bandwidthBps,
        links: crossing.map(({ link }) => ({ from: link.from, to: link.to })),
        message: `Cannot reserve bandwidth between ${physical.a} and ${physical.b}: ${free} is free each way, wanted ${formatBandwidth(bitsPerSecond(own))}${headers} for ${names(whose)}${ruled}`,
        remedy: `Ask for ${excess} less over it${crossing.length > 0 ? "" : largestTraffic(problem, promised?.appliances ?? [], wanted - physical.bandwidthBps)}, ${ruled === "" ? "put their ends closer together" : "relax the rule"}, or add capacity between ${physical.a} and ${physical.b}`,
      },
    ];
  });
}

/** What one of them alone could be promised instead, as a clause; for links there is no such figure. */
function largestTraffic(problem: MappingProblem, ids: readonly ApplianceId[], excessBps: number): string {
  const demands = wantedAppliances(problem)
    .filter(({ id }) => ids.includes(id))
    .map(({ id, spec }) => ({ id, demand: trafficDemand(spec.traffic) }));
  const [most] = demands.toSorted((a, b) => b.demand - a.demand);
  const fits = most === undefined ? 0 : trafficWithin(most.demand - excessBps);
  return most === undefined || fits === 0
    ? ""
    : `, for example at most ${formatBandwidth(bitsPerSecond(fits))} for all traffic of ${most.id}`;
}

function pathViolations(
  problem: MappingProblem,
  placements: Placements,
  paths: readonly LinkPath[],
  apart: readonly ApartRule[],
): Violation[] {
  const known = new Set(paths.map(({ link }) => `${link.from} ${link.to} ${link.network}`));
  const missing = wantedLinks(problem).flatMap((link): Violation[] => {
    const from = placements.get(link.from);
    const to = placements.get(link.to);
    if (from === undefined || to === undefined || known.has(`${link.from} ${link.to} ${link.network}`))
      return [];
    return [
      {
        kind: "unreachable",
        from: link.from,
        to: link.to,
        message: `Cannot connect ${link.from} and ${link.to}: no physical path between ${from} and ${to}`,
        remedy: `Describe or cable a path between ${from} and ${to}, or place both where there is one`,
      },
    ];
  });
  const late = paths.flatMap(({ link, connection, nodes }): Violation[] => {
    if (connection !== "inter-router" || link.spec.latency !== "low") return [];
    const ruled = keptApart(apart, [link], "site");
    return [
      {
        kind: "latency",
        from: link.from,
        to: link.to,
        message: `Cannot keep low latency between ${link.from} and ${link.to}: the path from ${nodes[0]} to ${nodes.at(-1)} crosses a router, wanted one layer-2 network${ruled}`,
        remedy: `${ruled === "" ? "Place both on one site" : "Relax the rule"}, or declare the link's latency high`,
      },
    ];
  });
  return [...missing, ...late];
}

function ruleViolations(problem: MappingProblem, placements: Placements): Violation[] {
  const siteOf = new Map(problem.topology.hosts.map((host) => [host.id, host.site]));
  return problem.ensembles.flatMap((ensemble) =>
    ensemble.placement.flatMap((rule): Violation[] => {
      const places = new Map<string, ApplianceId[]>();
      for (const id of coveredBy(rule, ensemble)) {
        const host = placements.get(id);
        if (host === undefined) continue;
        const place = rule.scope === "host" ? host : (siteOf.get(host) ?? "");
        places.set(place, [...(places.get(place) ?? []), id]);
      }
      const broken =
        rule.rule === "together"
          ? places.size > 1
            ? [...places.values()]
            : []
          : crowded([...places.values()]);
      if (broken.length === 0) return [];
      const appliances = broken.flat();
      const wanted = rule.rule === "together" ? `all on one ${rule.scope}` : `no two on one ${rule.scope}`;
      return [
        {
          kind: "rule",
          rule,
          appliances,
          message: `Cannot keep ${rule.appliances.join(", ")} ${rule.rule}: ${names(appliances)} on ${[...places.keys()].join(", ")}, wanted ${wanted}`,
          remedy: `Relax the rule, ask for less, or add ${rule.scope}s`,
        },
      ];
    }),
  );
}

function crowded(places: readonly ApplianceId[][]): ApplianceId[][] {
  return places.filter((ids) => ids.length > 1);
}

const namesShown = 5;

function names(ids: readonly string[]): string {
  const shown = ids.slice(0, namesShown).join(", ");
  return ids.length > namesShown ? `${shown} and ${ids.length - namesShown} more` : shown;
}
