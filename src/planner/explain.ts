import type { ApplianceId, HostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { bitsPerSecond, bytes, formatBandwidth, formatBytes, formatCpu, milliCpu } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { HostSpec } from "#model/topology.ts";
import { compileProblem } from "#planner/compile.ts";
import type { Compiled } from "#planner/compile.ts";
import { hasDriver, hostAllows } from "#planner/demand.ts";
import type { LinkPath, Mapping, MappingProblem, UnusableReason } from "#planner/mapping.ts";
import { schedulesOf } from "#planner/schedule-repair.ts";
import type { Schedules } from "#planner/schedule-repair.ts";
import { MapperState } from "#planner/state.ts";
import { trafficLoads } from "#planner/traffic.ts";
import { pinnedHost } from "#planner/wanted.ts";

/** Why everything is where it is: `consort explain` and the reasons in `consort plan`. */
export type MappingExplanation = {
  readonly appliances: readonly ApplianceExplanation[];
  readonly links: readonly LinkExplanation[];
};

export type ApplianceExplanation = {
  readonly appliance: ApplianceId;
  /** Absent: no host may take it. */
  readonly host?: HostId;
  /** Best first; the chosen one is among them. */
  readonly candidates: readonly Candidate[];
};

export type Candidate = {
  readonly host: HostId;
  readonly chosen: boolean;
  /** What the whole placement would cost more with the appliance here and all else as it is; absent: not allowed here. */
  readonly costChange?: number;
  readonly reason: string;
};

export type LinkExplanation = {
  readonly path: LinkPath;
  /** The physical link of its path with the least left, with all that is placed; absent when it uses none. */
  readonly binding?: {
    readonly a: string;
    readonly b: string;
    readonly capacityBps: BitsPerSecond;
    readonly freeBps: BitsPerSecond;
  };
  readonly reason: string;
};

export function explainMapping(problem: MappingProblem, mapping: Mapping): MappingExplanation {
  const compiled = compileProblem(problem);
  const state = new MapperState(compiled, seededRandom(1), problem.moveWeight ?? 1);
  const hostIndex = new Map(problem.topology.hosts.map((host, index) => [host.id, index]));
  compiled.appliances.forEach((appliance, index) => {
    const unit = compiled.unitOf[index]!;
    const host = hostIndex.get(mapping.placements.get(appliance.id) ?? ("" as never));
    if (host === undefined || state.hostOf[unit] === host) return;
    state.begin();
    state.move(unit, host);
    state.route();
  });
  const schedules = schedulesOf(state);
  return {
    appliances: compiled.appliances.map((_, index) =>
      explainAppliance(problem, compiled, state, index, schedules),
    ),
    links: explainLinks(compiled, mapping),
  };
}

function explainAppliance(
  problem: MappingProblem,
  compiled: Compiled,
  state: MapperState,
  index: number,
  schedules: Schedules | undefined,
): ApplianceExplanation {
  const { id, spec } = compiled.appliances[index]!;
  const unit = compiled.unitOf[index]!;
  const at = state.hostOf[unit]!;
  const before = costParts(state);
  const candidates = problem.topology.hosts.map((host, position): Candidate => {
    const chosen = position === at;
    if (compiled.unitPinned[unit] === 1) {
      const reason = whyPinned(problem, compiled, index);
      return { host: host.id, chosen, ...(chosen ? { costChange: 0 } : {}), reason };
    }
    if (!hostAllows(problem, host, spec))
      return {
        host: host.id,
        chosen,
        reason: chosen ? whyStill(problem, host, spec) : whyNotAllowed(problem, host, compiled, index),
      };
    if (chosen) return { host: host.id, chosen, costChange: 0, reason: "chosen" };
    return tryHost(compiled, state, before, unit, position, schedules);
  });
  candidates.sort(
    (one, other) => (one.costChange ?? Infinity) - (other.costChange ?? Infinity) || (one.chosen ? -1 : 0),
  );
  const host = problem.topology.hosts[at]?.id ?? pinnedHost(problem, id);
  return { appliance: id, ...(host === undefined ? {} : { host }), candidates };
}

/** It stays itself, or goes where one stays that it must share a host with. */
function whyPinned(problem: MappingProblem, compiled: Compiled, index: number): string {
  const { id, spec } = compiled.appliances[index]!;
  const own = pinnedHost(problem, id);
  if (own !== undefined) return waitsFor(problem, own, spec) ?? `it stays on ${own}`;
  const anchor = compiled.appliances.find(
    (one, at) => compiled.unitOf[at] === compiled.unitOf[index] && pinnedHost(problem, one.id) !== undefined,
  )!;
  return `it must be together with ${anchor.id}, which stays on ${pinnedHost(problem, anchor.id)}`;
}

function whyNotAllowed(problem: MappingProblem, host: HostSpec, compiled: Compiled, index: number): string {
  const { spec } = compiled.appliances[index]!;
  if (!hasDriver(problem, host, spec)) {
    const runsKind = hasDriver(problem, host, { kind: spec.kind });
    return runsKind ? "no guest runs in KVM there" : `no driver for kind ${spec.kind}`;
  }
  const { hosts, sites, labels } = spec.placement;
  if (hosts !== undefined && !hosts.includes(host.id)) return `must be on ${hosts.join(" or ")}`;
  if (sites !== undefined && !sites.includes(host.site)) return `must be in site ${sites.join(" or ")}`;
  const missing = Object.entries(labels).filter(([name, value]) => host.labels[name] !== value);
  if (missing.length === 0) return whyUnusable(problem, host.id);
  return `lacks ${missing.map(([name, value]) => `label ${name}=${value}`).join(", ")}`;
}

/** It is on a host that would not take it now. */
function whyStill(problem: MappingProblem, host: HostSpec, spec: ApplianceSpec): string {
  const waits = waitsFor(problem, host.id, spec);
  if (waits !== undefined) return waits;
  return problem.unusableHosts?.has(host.id) === true
    ? `it is on ${host.id}, which ${whyUnusable(problem, host.id)}`
    : `it is on ${host.id}, which would not take it now`;
}

function waitsFor(
  { unusableReasons }: MappingProblem,
  host: HostId,
  { onHostLoss, restart }: ApplianceSpec,
): string | undefined {
  if (unusableReasons?.get(host) !== "lost" || onHostLoss !== "in-place") return undefined;
  return `waits for ${host}, which is lost: restart: ${restart.when === "never" ? "never" : "in-place"}`;
}

const unusableTexts = {
  lost: "is lost",
  draining: "is draining: what it runs moves away",
  cordoned: "is cordoned",
  unclean: "is being cleaned: what it ran was given to others",
  absent: "has not joined",
  forgotten: "is no longer known: it was forgotten",
} satisfies Record<UnusableReason, string>;

function whyUnusable({ unusableReasons }: MappingProblem, host: HostId): string {
  const reason = unusableReasons?.get(host);
  return reason === undefined ? "takes nothing now" : unusableTexts[reason];
}

/** What the placement would be with the unit on another host; the state is as before afterwards. */
function tryHost(
  compiled: Compiled,
  state: MapperState,
  before: CostParts,
  unit: number,
  position: number,
  schedules: Schedules | undefined,
): Candidate {
  const cpuFree = state.cpuFree[position]!;
  const memoryFree = state.memoryFree[position]!;
  state.begin();
  state.move(unit, position);
  state.route();
  const after = costParts(state);
  const isKept = schedules === undefined || !schedules.isTabled(unit) || schedules.isKept(position);
  state.undo();
  const costChange = after.cost - before.cost;
  const host = compiled.problem.topology.hosts[position]!.id;
  const problems: string[] = [];
  if (after.cpu > before.cpu) {
    const wanted = formatCpu(milliCpu(compiled.unitCpu[unit]!));
    problems.push(`CPU: ${formatCpu(milliCpu(Math.max(0, cpuFree)))} free, wanted ${wanted}`);
  }
  if (after.memory > before.memory) {
    const wanted = formatBytes(bytes(compiled.unitMemory[unit]!));
    problems.push(`memory: ${formatBytes(bytes(Math.max(0, memoryFree)))} free, wanted ${wanted}`);
  }
  if (!isKept) problems.push("CPU: enough, but not in time for every period");
  if (after.link > before.link) {
    const missing = formatBandwidth(bitsPerSecond(after.link - before.link));
    problems.push(`bandwidth: ${missing} missing on its paths`);
  }
  if (after.rules > before.rules) problems.push("a placement rule would be broken");
  if (after.latency > before.latency) problems.push("a low-latency link would cross a router");
  if (after.unreachable > before.unreachable) problems.push("a link would have no path");
  if (problems.length > 0) return { host, chosen: false, costChange, reason: problems.join("; ") };
  const change = after.preference - before.preference;
  const rounded = Math.round(Math.abs(change) * 1000) / 1000;
  const compared = rounded === 0 ? "as good" : `costs ${rounded} ${change > 0 ? "more" : "less"}`;
  return { host, chosen: false, costChange, reason: `possible, ${compared}` };
}

type CostParts = ReturnType<typeof costParts>;

function costParts(state: MapperState) {
  return {
    cost: state.cost,
    preference: state.preference,
    violation: state.violation,
    cpu: state.overCpu,
    memory: state.overMemory,
    link: state.overLink,
    rules: state.brokenRules,
    latency: state.brokenLatency,
    unreachable: state.unreachable,
  };
}

function explainLinks(compiled: Compiled, mapping: Mapping): LinkExplanation[] {
  const { topology } = compiled.problem;
  const free = compiled.linkFree.slice();
  for (const path of mapping.paths)
    for (const physical of path.physicalLinks) free[physical]! -= path.wireBps;
  const { placements, paths } = mapping;
  for (const [physical, { bps }] of trafficLoads(topology, compiled.appliances, placements, paths)) {
    free[physical]! -= bps;
  }
  return mapping.paths.map((path): LinkExplanation => {
    let tightest = path.physicalLinks[0];
    if (tightest === undefined) return { path, reason: "both appliances are on one host" };
    for (const physical of path.physicalLinks) if (free[physical]! < free[tightest]!) tightest = physical;
    const { a, b, bandwidthBps } = topology.links[tightest]!;
    const left = bitsPerSecond(free[tightest]!);
    const binding = { a, b, capacityBps: bandwidthBps, freeBps: left };
    const have = `${formatBandwidth(bitsPerSecond(Math.max(0, left)))} of ${formatBandwidth(bandwidthBps)}`;
    return {
      path,
      binding,
      reason: `${path.connection} over ${path.nodes.join(" – ")}; tightest between ${a} and ${b}, ${have} left each way`,
    };
  });
}
