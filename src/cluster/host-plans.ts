import { digest } from "#base/digest.ts";
import { networkId } from "#base/ids.ts";
import type { ApplianceId, HostId, SiteName } from "#base/ids.ts";
import { bitsPerSecond } from "#base/units.ts";
import { appliancePlans, monitorPlans, trafficPlan } from "#cluster/appliance-plans.ts";
import {
  segmentMtu,
  sitesOfPair,
  sitePair,
  sitesByNetwork,
  tunnelKind,
  tunnelPlan,
  tunnelsNeeded,
} from "#cluster/tunnels.ts";
import { moveOf, movePlan, ownerOf, placesOf } from "#cluster/moves.ts";
import type { ContentPlan } from "#cluster/content-plans.ts";
import type { EnsembleRecord, HostRecord, TunnelRecord } from "#cluster/records.ts";
import { namingPlan } from "#cluster/naming.ts";
import { hostsOf } from "#cluster/whereabouts.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { Appliance } from "#model/appliances.ts";
import type { Topology } from "#model/topology.ts";
import type {
  CheckpointPlan,
  HostPlan,
  MovePlan,
  SegmentMember,
  SegmentPlan,
  ShapedPair,
  StorePlan,
  TunnelPlan,
  JobPlan,
} from "#protocol/host-plan.ts";

/** A host plan before it is numbered. */
export type HostPlanBody = Omit<HostPlan, "epoch" | "revision">;

export type DesiredCloud = {
  readonly ensembles: readonly EnsembleRecord[];
  readonly hosts: ReadonlyMap<HostId, HostRecord>;
  readonly tunnels: ReadonlyMap<string, TunnelRecord>;
  readonly topology: Topology;
  readonly jobs?: ReadonlyMap<HostId, readonly JobPlan[]>;
  readonly checkpoints?: ReadonlyMap<HostId, readonly CheckpointPlan[]>;
  readonly stores?: ReadonlyMap<HostId, readonly StorePlan[]>;
  readonly content?: ReadonlyMap<HostId, ContentPlan>;
};

/** A link that only has a ceiling still needs a class; this is all it is promised. */
const leastRateBps = bitsPerSecond(8000);

/** What one ensemble wants of one host. */
type Piece = Pick<HostPlanBody, "appliances" | "segments" | "shapedPairs"> &
  Required<Pick<HostPlanBody, "traffic" | "monitors">>;

/** The desired state of every known host. Pure: equal clouds give equal plans, in equal order. */
export function hostPlanBodies(cloud: DesiredCloud): ReadonlyMap<HostId, HostPlanBody> {
  const pieces = new Map<HostId, Piece[]>([...cloud.hosts.keys()].map((id) => [id, []]));
  for (const record of cloud.ensembles) {
    if (record.state !== "present") continue;
    for (const [host, piece] of piecesOf(record, cloud)) pieces.get(host)?.push(piece);
  }
  const tunnels = tunnelPlans(cloud);
  const bodies = new Map<HostId, HostPlanBody>();
  for (const [id, host] of cloud.hosts) {
    bodies.set(
      id,
      bodyOf(
        host,
        pieces.get(id) ?? [],
        tunnels.get(id) ?? noTunnels,
        cloud.jobs?.get(id),
        { checkpoints: cloud.checkpoints?.get(id), stores: cloud.stores?.get(id) },
        cloud.content?.get(id),
      ),
    );
  }
  return bodies;
}

/** What is asked for beside policies, and where outside the cloud it is kept. */
type Kept = {
  readonly checkpoints: readonly CheckpointPlan[] | undefined;
  readonly stores: readonly StorePlan[] | undefined;
};

const noTunnels: readonly TunnelPlan[] = [];

/** The same object as the last time, where nothing has changed. */
function bodyOf(
  host: HostRecord,
  pieces: readonly Piece[],
  tunnels: readonly TunnelPlan[],
  jobs: readonly JobPlan[] | undefined,
  { checkpoints, stores }: Kept,
  content: ContentPlan | undefined,
): HostPlanBody {
  const last = lastOf.get(host);
  const isSameContent =
    (last?.blobs === undefined && content === undefined) ||
    digest(contentIn(last)) === digest(contentIn(content));
  if (
    last?.tunnels === tunnels &&
    isSameContent &&
    sameItems(last.jobs, jobs ?? []) &&
    samePlans(last.checkpoints, checkpoints) &&
    samePlans(last.stores, stores) &&
    sameItems(madeOf.get(last), pieces)
  ) {
    return last;
  }
  const traffic = pieces.flatMap((piece) => piece.traffic);
  const monitors = pieces.flatMap((piece) => piece.monitors);
  const body: HostPlanBody = {
    host: host.id,
    appliances: pieces.flatMap((piece) => piece.appliances),
    segments: pieces.flatMap((piece) => piece.segments),
    shapedPairs: pieces.flatMap((piece) => piece.shapedPairs),
    tunnels,
    ...(traffic.length === 0 ? {} : { traffic }),
    ...(monitors.length === 0 ? {} : { monitors }),
    ...(jobs === undefined ? {} : { jobs }),
    ...(checkpoints === undefined ? {} : { checkpoints }),
    ...(stores === undefined ? {} : { stores }),
    ...content,
  };
  madeOf.set(body, pieces);
  lastOf.set(host, body);
  return body;
}

/** What is desired of a host's content alone. */
const contentIn = ({ images, imports, blobs }: Partial<ContentPlan> = {}): Partial<ContentPlan> => ({
  ...(images === undefined ? {} : { images }),
  ...(imports === undefined ? {} : { imports }),
  ...(blobs === undefined ? {} : { blobs }),
});

const samePlans = (a: readonly object[] = [], b: readonly object[] = []): boolean =>
  (a.length === 0 && b.length === 0) || digest(a) === digest(b);

const sameItems = (a: readonly object[] = [], b: readonly object[]): boolean =>
  a.length === b.length && a.every((one, at) => one === b[at]);

/** Equal bodies made here have equal fingerprints; what did not change since the last time is not read again. */
export function fingerprintOf(body: HostPlanBody): string {
  const pieces = madeOf.get(body);
  if (pieces === undefined) return digest(body);
  const parts = pieces.map((piece) => {
    const known = digests.get(piece) ?? digest(piece);
    digests.set(piece, known);
    return known;
  });
  const jobs = body.jobs === undefined ? [] : [digest(body.jobs)];
  const content = contentIn(body);
  const held = content.blobs === undefined ? [] : [digest(content)];
  const checkpoints = body.checkpoints === undefined ? [] : [`c${digest(body.checkpoints)}`];
  const stores = body.stores === undefined ? [] : [`s${digest(body.stores)}`];
  return [body.host, ...parts, digest(body.tunnels), ...jobs, ...held, ...checkpoints, ...stores].join(" ");
}

/** What a record's pieces were made from, apart from the record. */
type Made = {
  readonly topology: Topology;
  readonly hosts: readonly (HostRecord | undefined)[];
  /** Pairs of sites it spans, and which of them were guarded: nothing else of the tunnels shows in its pieces. */
  readonly spans: readonly string[];
  readonly guarded: readonly boolean[];
  readonly pieces: ReadonlyMap<HostId, Piece>;
};

/** Kept with what they were made from: most changes of a large cloud leave nearly all of it as it was. */
const lastOf = new WeakMap<HostRecord, HostPlanBody>();
const madeOf = new WeakMap<HostPlanBody, readonly Piece[]>();
const digests = new WeakMap<Piece, string>();
const made = new WeakMap<EnsembleRecord, Made>();

function piecesOf(record: EnsembleRecord, cloud: DesiredCloud): ReadonlyMap<HostId, Piece> {
  const ids = hostsOf(record);
  const known = made.get(record);
  const isGuarded = (pair: string): boolean => cloud.tunnels.get(pair)?.guarded === true;
  if (
    known?.topology === cloud.topology &&
    ids.every((id, at) => cloud.hosts.get(id) === known.hosts[at]) &&
    known.spans.every((pair, at) => isGuarded(pair) === known.guarded[at])
  ) {
    return known.pieces;
  }
  const hosts = ids.map((id) => cloud.hosts.get(id));
  const sites = [...new Set(hosts.flatMap((host) => host?.site ?? []))];
  const spans = sites.flatMap((a) => sites.flatMap((b) => (a < b ? [sitePair(a, b)] : [])));
  const pieces = makePieces(record, ids, cloud);
  const { topology } = cloud;
  made.set(record, { topology, hosts, spans, guarded: spans.map(isGuarded), pieces });
  return pieces;
}

function makePieces(
  record: EnsembleRecord,
  hosts: readonly HostId[],
  cloud: DesiredCloud,
): ReadonlyMap<HostId, Piece> {
  const appliances = new Map<HostId, Appliance[]>();
  for (const appliance of appliancesOf(record.ensemble)) {
    for (const host of placesOf(record, appliance.id)) {
      appliances.set(host, [...(appliances.get(host) ?? []), appliance]);
    }
  }
  const moveFor = (id: ApplianceId, host: HostId): MovePlan | undefined => {
    const move = moveOf(record, id);
    return move === undefined ? undefined : movePlan(move, host, cloud.hosts);
  };
  const monitors = Map.groupBy(monitorPlans(record), ({ appliance }) => ownerOf(record, appliance));
  const pairs = Map.groupBy(shapedPairs(record), ({ host }) => host);
  const segments = segmentsOf(record, cloud).map((segment) => ({
    segment,
    hosts: new Set(segment.members.flatMap((member) => placesOf(record, member.appliance))),
  }));
  return new Map(
    hosts.map((host) => [
      host,
      {
        appliances: (appliances.get(host) ?? []).flatMap((appliance) =>
          appliancePlans(appliance, record, moveFor(appliance.id, host)),
        ),
        segments: segments
          .filter((one) => one.hosts.has(host))
          .map((one) => segmentSeenFrom(host, one.segment, cloud)),
        shapedPairs: (pairs.get(host) ?? []).map(({ pair }) => pair),
        traffic: (appliances.get(host) ?? []).flatMap((appliance) => trafficPlan(appliance, record)),
        monitors: monitors.get(host) ?? [],
      },
    ]),
  );
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
  const members = segment.members.filter(reachable).map((member) => seenFrom(here, member));
  const addresses = new Set(
    members.flatMap(({ hostAddress, movesWith }) =>
      movesWith === undefined ? [hostAddress] : [hostAddress, movesWith],
    ),
  );
  return {
    ...segment,
    members,
    peers: segment.peers.filter((peer) => peer !== here?.address && addresses.has(peer)),
  };
}

/** To both hosts it moves between, it is here. */
function seenFrom(here: HostRecord | undefined, member: SegmentMember): SegmentMember {
  if (here === undefined || member.movesWith !== here.address) return member;
  return { ...member, host: here.id, hostAddress: here.address, movesWith: member.hostAddress };
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
      peers: [
        ...new Set(
          members.flatMap(({ hostAddress, movesWith }) => [
            hostAddress,
            ...(movesWith === undefined ? [] : [movesWith]),
          ]),
        ),
      ].sort(),
      members,
      naming: namingPlan(record.ensemble.name, network),
    };
  });
}

function segmentMember(
  id: ApplianceId,
  one: EnsembleRecord["interfaces"][ApplianceId][number],
  record: EnsembleRecord,
  cloud: DesiredCloud,
): SegmentMember[] {
  const [host, other] = placesOf(record, id).map((place) => cloud.hosts.get(place));
  if (host === undefined) return [];
  const name = id.slice(record.ensemble.name.length + 1);
  const member = {
    appliance: id,
    name,
    mac: one.mac,
    address: one.address,
    host: host.id,
    hostAddress: host.address,
  };
  return [other === undefined ? member : { ...member, movesWith: other.address }];
}

/** Every pair with the host its sender is on; on one host together only a ceiling needs a class. */
function shapedPairs(record: EnsembleRecord): { host: HostId; pair: ShapedPair }[] {
  const macs = new Map(
    Object.entries(record.interfaces).flatMap(([id, interfaces]) =>
      interfaces.map((one) => [`${id} ${networkId(record.ensemble.name, one.network)}`, one.mac] as const),
    ),
  );
  return linksOf(record.ensemble).flatMap((link) => {
    const { bandwidthBps, ceilingBps, priority } = link.spec;
    if (bandwidthBps === undefined && ceilingBps === undefined) return [];
    const hosts = [record.placements[link.from], record.placements[link.to]];
    // One that waits for a host talks to nobody yet.
    if (hosts.includes(undefined)) return [];
    const local = hosts[0] === hosts[1];
    if (local && ceilingBps === undefined) return [];
    const ways = [
      [link.from, link.to],
      [link.to, link.from],
    ] as const;
    return ways.flatMap(([from, to]) => {
      const fromMac = macs.get(`${from} ${link.network}`);
      const toMac = macs.get(`${to} ${link.network}`);
      if (fromMac === undefined || toMac === undefined) return [];
      const rateBps = bandwidthBps ?? leastRateBps;
      const ceiling = ceilingBps === undefined ? {} : { ceilingBps };
      const pair = { network: link.network, fromMac, toMac, rateBps, ...ceiling, priority };
      return placesOf(record, from).map((host) => ({ host, pair }));
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
