import { networkId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { segmentMtu, sitesByNetwork } from "#cluster/tunnels.ts";
import type { HostsSeen, InterfaceTraffic } from "#cluster/hosts-seen.ts";
import type { Progress } from "#cluster/progress.ts";
import { placementsOf } from "#cluster/admission.ts";
import { moveOf } from "#cluster/moves.ts";
import type { EnsembleRecord, HostRecord, HostStanding } from "#cluster/records.ts";
import { restartWord } from "#formats/restart.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { Appliance, ApplianceLink } from "#model/appliances.ts";
import type { CpuRequest, CpuReservation, TeamSpec } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { memoryDemandBytes } from "#planner/demand.ts";
import { vmView } from "#cluster/vm-views.ts";
import type { LinkPath } from "#planner/mapping.ts";
import { promisedOnUplinks } from "#planner/uplinks.ts";
import type { SchedulingReport } from "#protocol/host-report.ts";
import type { ApplianceStatus, EnsembleStatus, HostStatus, LinkStatus } from "#protocol/http/status.ts";

/** What the API shows, put together from what is desired and what hosts last told. */
export type ViewSources = {
  readonly ensembles: readonly EnsembleRecord[];
  readonly hosts: ReadonlyMap<HostId, HostRecord>;
  readonly topology: Topology;
  readonly seen: HostsSeen;
  readonly standing: (host: HostId) => HostStanding;
};

export function ensembleView(
  record: EnsembleRecord,
  progress: Progress,
  sources: ViewSources,
): EnsembleStatus {
  const sites = sitesByNetwork(record, sources.hosts);
  const paths = new Map(record.paths.map((path) => [linkKey(path.link), path]));
  const state =
    record.state === "removing"
      ? "removing"
      : progress.complete
        ? "running"
        : progress.failed
          ? "degraded"
          : "converging";
  return {
    name: record.ensemble.name,
    state,
    revision: record.revision,
    appliances: appliancesOf(record.ensemble).map((appliance) => applianceView(appliance, record, sources)),
    networks: Object.entries(record.networks).map(([name, network]) => ({
      name,
      subnet: network.subnet,
      vni: network.vni,
      mtu: segmentMtu(sources.topology, [...(sites.get(name) ?? [])]),
    })),
    links: linksOf(record.ensemble).map((link) => linkView(link, paths, record, sources)),
    ...(record.ensemble.description === undefined ? {} : { description: record.ensemble.description }),
    ...(state === "running" ? {} : { message: progress.message }),
  };
}

/** CPU a request holds for certain, in thousandths of a core. */
export function reservedMilli(cpu: CpuRequest | undefined): number {
  if (cpu === undefined) return 0;
  return cpu.kind === "share" ? cpu.shareMilli : Math.round((cpu.executionUs / cpu.periodUs) * 1000);
}

function applianceView(
  { id, name, spec }: Appliance,
  record: EnsembleRecord,
  sources: ViewSources,
): ApplianceStatus {
  const host = record.placements[id];
  const report =
    host === undefined ? undefined : sources.seen.report(host)?.appliances.find((one) => one.id === id);
  const isLost = host !== undefined && sources.seen.isLost(host);
  const silent =
    isLost || (host !== undefined && sources.seen.report(host) !== undefined && !sources.seen.isFresh(host));
  const site = host === undefined ? undefined : sources.hosts.get(host)?.site;
  const restart =
    restartWord(spec.restart.when, spec.onHostLoss) ?? `${spec.restart.when}, ${spec.onHostLoss}`;
  const waits = isLost && spec.onHostLoss === "in-place";
  const parked = record.parked?.[id]?.state === "on-disk";
  const message = parked
    ? "on disk"
    : waits
      ? `waits for ${host}, which is lost: restart: ${restart}`
      : (waitsForDisks(record, id, sources) ?? report?.message);
  const isThere = !silent && report?.startedAt !== undefined;
  const vm = vmView(spec, silent ? undefined : report?.vm);
  const guest = host === undefined || silent ? undefined : sources.seen.report(host)?.usage.guests?.[id];
  return {
    ensemble: record.ensemble.name,
    name,
    kind: spec.kind,
    state: parked
      ? "suspended"
      : record.over?.includes(id) === true
        ? "gone"
        : silent
          ? "lost"
          : (report?.state ?? "pending"),
    restart,
    restarts: report?.restarts ?? 0,
    addresses: (record.interfaces[id] ?? []).map(({ network, address, mac }) => ({ network, address, mac })),
    cpuUsedMilli: host === undefined ? 0 : sources.seen.cpuMilli(host, id),
    memoryUsedBytes: report?.memoryBytes ?? 0,
    ...(host === undefined ? {} : { host }),
    ...(site === undefined ? {} : { site }),
    ...(message === undefined ? {} : { message }),
    ...(isThere ? { startedAtMs: report.startedAt } : {}),
    ...(spec.cpu === undefined ? {} : { cpuReservedMilli: reservedMilli(spec.cpu) }),
    ...(spec.memoryBytes === undefined ? {} : { memoryLimitBytes: memoryDemandBytes(spec) }),
    ...(spec.cpu?.kind === "reservation"
      ? { reservation: reservationView(spec.cpu, silent ? undefined : report?.scheduling) }
      : {}),
    ...(spec.teams === undefined ? {} : { teams: teamsView(spec.teams) }),
    ...(host === undefined ? {} : trafficView(host, id, record, sources.seen)),
    ...(vm === undefined ? {} : { vm }),
    ...(guest === undefined ? {} : { guest }),
    ...(spec.traffic === undefined ? {} : { traffic: spec.traffic }),
    ...(parked || spec.suspended === true ? { suspended: true as const } : {}),
    ...(record.ensemble.adjustments?.some((one) => one.appliance === name) === true
      ? { adjusted: true as const }
      : {}),
  };
}

/** It runs where it went to, as far as it needs nothing of its disks: those are on the host that it left. */
function waitsForDisks(record: EnsembleRecord, id: ApplianceId, { seen }: ViewSources): string | undefined {
  const move = moveOf(record, id);
  if (move?.state !== "sent" || !seen.isLost(move.from)) return undefined;
  return `waits for its disk, which is on ${move.from}: that host is lost`;
}

/** Teams within teams follow the one they are in. */
function teamsView(teams: readonly TeamSpec[], within = ""): NonNullable<ApplianceStatus["teams"]> {
  return teams.flatMap(({ name, policy, jobs, cpu, teams: inner }) => {
    const path = `${within}${name}`;
    const own = { name: path, policy, jobs: jobs.length };
    const reserved = cpu === undefined ? {} : { executionUs: cpu.executionUs, periodUs: cpu.periodUs };
    return [{ ...own, ...reserved }, ...teamsView(inner, `${path}/`)];
  });
}

/** Nothing of one without interfaces. */
function trafficView(
  host: HostId,
  id: ApplianceId,
  record: EnsembleRecord,
  seen: HostsSeen,
): Pick<ApplianceStatus, "network"> {
  const interfaces = record.interfaces[id] ?? [];
  if (interfaces.length === 0) return {};
  const each = interfaces.map(({ mac }) => seen.interfaceTraffic(host, mac));
  const sum = (field: keyof InterfaceTraffic): number => each.reduce((all, one) => all + one[field], 0);
  return {
    network: {
      inBytes: sum("inBytes"),
      outBytes: sum("outBytes"),
      inBps: sum("inBps"),
      outBps: sum("outBps"),
    },
  };
}

function reservationView(
  { executionUs, periodUs }: CpuReservation,
  scheduling: SchedulingReport | undefined,
): NonNullable<ApplianceStatus["reservation"]> {
  return { executionUs, periodUs, ...scheduling };
}

const linkKey = ({ from, to, network }: ApplianceLink): string => `${from} ${to} ${network}`;

function linkView(
  link: ApplianceLink,
  paths: ReadonlyMap<string, LinkPath>,
  record: EnsembleRecord,
  { seen }: ViewSources,
): LinkStatus {
  const ends = [record.placements[link.from], record.placements[link.to]].filter(
    (host) => host !== undefined,
  );
  const macOf = (id: ApplianceId) =>
    record.interfaces[id]?.find((one) => networkId(record.ensemble.name, one.network) === link.network)?.mac;
  const from = macOf(link.from);
  const to = macOf(link.to);
  const nothing = { bytes: 0, bps: 0 };
  const forward = from === undefined || to === undefined ? nothing : seen.traffic(ends, from, to);
  const backward = from === undefined || to === undefined ? nothing : seen.traffic(ends, to, from);
  const path = paths.get(linkKey(link));
  const { bandwidthBps, ceilingBps, latency } = link.spec;
  return {
    from: link.from,
    to: link.to,
    network: link.network,
    connection: path?.connection ?? "unknown",
    path: [...(path?.nodes ?? [])],
    forwardBps: forward.bps,
    backwardBps: backward.bps,
    forwardBytes: forward.bytes,
    backwardBytes: backward.bytes,
    ...(bandwidthBps === undefined ? {} : { bandwidthBps }),
    ...(ceilingBps === undefined ? {} : { ceilingBps }),
    ...(latency === undefined ? {} : { latency }),
  };
}

/** Every known host, with what the ensembles reserve on it. */
export function hostViews(sources: ViewSources): HostStatus[] {
  const here = Map.groupBy(
    sources.ensembles.flatMap((record) =>
      appliancesOf(record.ensemble).map((one) => ({ ...one, host: record.placements[one.id] })),
    ),
    ({ host }) => host,
  );
  const uplinks = promisedOnUplinks(
    sources.topology,
    sources.ensembles.map((record) => ({
      ensemble: record.ensemble,
      placements: placementsOf(record),
      paths: record.paths,
    })),
  );
  return [...sources.hosts.values()]
    .map((host) => hostView(host, here.get(host.id) ?? [], uplinks.get(host.id) ?? 0, sources))
    .toSorted((a, b) => a.id.localeCompare(b.id, "en", { numeric: true }));
}

/** What is over keeps its promise, for a change may start it again, but it does not run. */
function hostView(
  host: HostRecord,
  placed: readonly Appliance[],
  uplinkReservedBps: number,
  sources: ViewSources,
): HostStatus {
  const report = sources.seen.report(host.id);
  const here = placed.map(({ spec }) => spec);
  const over = new Set(
    report?.appliances.flatMap(({ id, state }) => (state === "exited" || state === "failed" ? [id] : [])),
  );
  const problems = (report?.problems ?? []).map((problem) => problem.message);
  return {
    id: host.id,
    site: host.site,
    role: host.role,
    state: hostState(host.id, sources.seen, problems),
    scheduling: sources.standing(host.id).scheduling,
    fenced: sources.standing(host.id).fenced,
    address: host.address,
    labels: { ...host.labels },
    cpuMilli: host.capacity.cpuMilli,
    cpuReservedMilli: here.reduce((sum, one) => sum + reservedMilli(one.cpu), 0),
    cpuUsedMilli: report?.usage.cpuMilli ?? 0,
    memoryBytes: host.capacity.memoryBytes,
    memoryReservedBytes: here.reduce((sum, one) => sum + memoryDemandBytes(one), 0),
    memoryUsedBytes: report?.usage.memoryBytes ?? 0,
    ...(report?.usage.machine === undefined ? {} : { machine: report.usage.machine }),
    uplinkBps: host.capacity.uplinkBps,
    ...(uplinkReservedBps === 0 ? {} : { uplinkReservedBps }),
    appliances: placed.filter(({ id }) => !over.has(id)).length,
    tunnels: (report?.tunnels ?? []).map(({ peerSite, kind, up }) => ({ peerSite, kind, up })),
    lastSeenMs: sources.seen.lastSeen(host.id) ?? 0,
    problems,
  };
}

function hostState(host: HostId, seen: HostsSeen, problems: readonly string[]): HostStatus["state"] {
  if (!seen.isThere(host)) return "lost";
  return seen.isFresh(host) && problems.length === 0 ? "ready" : "converging";
}
