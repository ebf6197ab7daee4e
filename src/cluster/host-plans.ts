import { digest } from "#base/digest.ts";
import { networkId } from "#base/ids.ts";
import type { ApplianceId, HostId, SiteName } from "#base/ids.ts";
import { parseNetwork } from "#base/ipv4.ts";
import { bitsPerSecond } from "#base/units.ts";
import {
  segmentMtu,
  sitesOfPair,
  sitePair,
  sitesByNetwork,
  tunnelKind,
  tunnelPlan,
  tunnelsNeeded,
} from "#cluster/tunnels.ts";
import type { EnsembleRecord, HostRecord, TunnelRecord } from "#cluster/records.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { Appliance } from "#model/appliances.ts";
import type { Topology } from "#model/topology.ts";
import type {
  AppliancePlan,
  HostPlan,
  SegmentMember,
  SegmentPlan,
  ShapedPair,
  TunnelPlan,
} from "#protocol/host-plan.ts";

/** A host plan before it is numbered. */
export type HostPlanBody = Omit<HostPlan, "epoch" | "revision">;

export type DesiredCloud = {
  readonly ensembles: readonly EnsembleRecord[];
  readonly hosts: ReadonlyMap<HostId, HostRecord>;
  readonly tunnels: ReadonlyMap<string, TunnelRecord>;
  readonly topology: Topology;
};

/** A link that only has a ceiling still needs a class; this is all it is promised. */
const leastRateBps = bitsPerSecond(8000);

/** The desired state of every known host. Pure: equal clouds give equal plans, in equal order. */
export function hostPlanBodies(cloud: DesiredCloud): ReadonlyMap<HostId, HostPlanBody> {
  const drafts = new Map<
    HostId,
    { appliances: AppliancePlan[]; segments: SegmentPlan[]; shapedPairs: ShapedPair[] }
  >();
  for (const id of cloud.hosts.keys()) drafts.set(id, { appliances: [], segments: [], shapedPairs: [] });
  for (const record of cloud.ensembles) {
    if (record.state !== "present") continue;
    const segments = segmentsOf(record, cloud);
    for (const appliance of appliancesOf(record.ensemble)) {
      const host = record.placements[appliance.id];
      const draft = host === undefined ? undefined : drafts.get(host);
      draft?.appliances.push(appliancePlan(appliance, record));
    }
    for (const [id, draft] of drafts) {
      for (const segment of segments) {
        if (!segment.members.some((member) => member.host === id)) continue;
        draft.segments.push(segmentSeenFrom(id, segment, cloud));
      }
      draft.shapedPairs.push(...shapedPairs(record, id));
    }
  }
  const tunnels = tunnelPlans(cloud);
  return new Map(
    [...drafts].map(([host, draft]) => [host, { host, ...draft, tunnels: tunnels.get(host) ?? [] }]),
  );
}

/** What an appliance must be restarted for; cpu and memory only as far as having a limit at all. */
export function generationOf(plan: Omit<AppliancePlan, "generation">): string {
  const { cpu, memoryBytes, restart: _restart, stopGraceMs: _stopGraceMs, ...rest } = plan;
  return digest({ ...rest, limited: [cpu !== undefined, memoryBytes !== undefined] });
}

function appliancePlan({ id, spec }: Appliance, record: EnsembleRecord): AppliancePlan {
  const plan = {
    id,
    kind: spec.kind,
    command: spec.command,
    env: spec.env,
    files: spec.files,
    restart: spec.restart,
    stopGraceMs: spec.stopGraceMs,
    interfaces: (record.interfaces[id] ?? []).map((one, index) => ({
      name: `eth${index}`,
      network: networkId(record.ensemble.name, one.network),
      mac: one.mac,
      address: one.address,
      prefixLength: parseNetwork(record.networks[one.network]?.subnet ?? "0.0.0.0/24").prefixLength,
    })),
    ...(spec.image === undefined ? {} : { image: spec.image }),
    ...(spec.directory === undefined ? {} : { directory: spec.directory }),
    ...(spec.cpu === undefined ? {} : { cpu: spec.cpu }),
    ...(spec.memoryBytes === undefined ? {} : { memoryBytes: spec.memoryBytes }),
  };
  return { ...plan, generation: generationOf(plan) };
}

/**
 * A segment as one host is told of it: members at other sites only where a tunnel carries their frames, or where the
 * sites' policy is to do without.
 */
function segmentSeenFrom(host: HostId, segment: SegmentPlan, cloud: DesiredCloud): SegmentPlan {
  const here = cloud.hosts.get(host);
  const reachable = (member: SegmentMember): boolean => {
    const there = cloud.hosts.get(member.host)?.site;
    if (here === undefined || there === undefined || there === here.site) return true;
    if (tunnelKind(cloud.topology, here.site, there) === "vxlan") return true;
    return cloud.tunnels.get(sitePair(here.site, there))?.guarded === true;
  };
  const members = segment.members.filter(reachable);
  const addresses = new Set(members.map((member) => member.hostAddress));
  return {
    ...segment,
    members,
    peers: segment.peers.filter((peer) => peer !== here?.address && addresses.has(peer)),
  };
}

/** Every network of an ensemble with all its members; `peers` still holds every host. */
function segmentsOf(record: EnsembleRecord, cloud: DesiredCloud): SegmentPlan[] {
  const sites = sitesByNetwork(record, cloud.hosts);
  return Object.entries(record.networks).map(([name, network]) => {
    const members = Object.entries(record.interfaces).flatMap(([id, interfaces]) =>
      interfaces
        .filter((one) => one.network === name)
        .flatMap((one) => segmentMember(id as ApplianceId, one, record, cloud)),
    );
    return {
      network: networkId(record.ensemble.name, name),
      vni: network.vni,
      mtu: segmentMtu(cloud.topology, [...(sites.get(name) ?? [])]),
      peers: [...new Set(members.map((member) => member.hostAddress))].sort(),
      members,
    };
  });
}

function segmentMember(
  id: ApplianceId,
  one: EnsembleRecord["interfaces"][ApplianceId][number],
  record: EnsembleRecord,
  cloud: DesiredCloud,
): SegmentMember[] {
  const host = cloud.hosts.get(record.placements[id] ?? ("" as HostId));
  if (host === undefined) return [];
  const name = id.slice(record.ensemble.name.length + 1);
  return [
    { appliance: id, name, mac: one.mac, address: one.address, host: host.id, hostAddress: host.address },
  ];
}

/** The pairs whose sender is on this host; on one host together only a ceiling needs a class. */
function shapedPairs(record: EnsembleRecord, host: HostId): ShapedPair[] {
  return linksOf(record.ensemble).flatMap((link): ShapedPair[] => {
    const { bandwidthBps, ceilingBps, priority } = link.spec;
    if (bandwidthBps === undefined && ceilingBps === undefined) return [];
    const local = record.placements[link.from] === record.placements[link.to];
    if (local && ceilingBps === undefined) return [];
    const macOf = (id: ApplianceId) =>
      record.interfaces[id]?.find((one) => networkId(record.ensemble.name, one.network) === link.network)
        ?.mac;
    return [
      [link.from, link.to],
      [link.to, link.from],
    ].flatMap(([from, to]): ShapedPair[] => {
      if (from === undefined || to === undefined || record.placements[from] !== host) return [];
      const fromMac = macOf(from);
      const toMac = macOf(to);
      if (fromMac === undefined || toMac === undefined) return [];
      return [
        {
          network: link.network,
          fromMac,
          toMac,
          rateBps: bandwidthBps ?? leastRateBps,
          ...(ceilingBps === undefined ? {} : { ceilingBps }),
          priority,
        },
      ];
    });
  });
}

/** Needed by what is desired, or still guarding what hosts have not let go of yet. */
function tunnelsWanted(cloud: DesiredCloud): ReadonlyMap<string, readonly [SiteName, SiteName]> {
  const wanted = new Map(tunnelsNeeded(cloud.ensembles, cloud.hosts, cloud.topology));
  for (const [pair, record] of cloud.tunnels) {
    if (record.guarded && !wanted.has(pair)) wanted.set(pair, sitesOfPair(pair));
  }
  return wanted;
}

function tunnelPlans(cloud: DesiredCloud): ReadonlyMap<HostId, TunnelPlan[]> {
  const gateways = new Map(
    [...cloud.hosts.values()].filter((one) => one.role === "gateway").map((one) => [one.site, one]),
  );
  const plans = new Map<HostId, TunnelPlan[]>();
  for (const [a, b] of tunnelsWanted(cloud).values()) {
    const record = cloud.tunnels.get(sitePair(a, b));
    const kind = tunnelKind(cloud.topology, a, b);
    if (record === undefined || kind === "vxlan") continue;
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const gateway = gateways.get(here);
      const peer = gateways.get(there);
      if (gateway === undefined || peer === undefined) continue;
      const plan = tunnelPlan(here, peer, record, kind);
      if (plan !== undefined) plans.set(gateway.id, [...(plans.get(gateway.id) ?? []), plan]);
    }
  }
  return plans;
}
