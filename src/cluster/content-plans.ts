import { digest } from "#base/digest.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { CheckpointContent } from "#cluster/checkpoints.ts";
import type { ImageRecord } from "#cluster/images.ts";
import type { EnsembleRecord, HostRecord, HostStanding } from "#cluster/records.ts";
import type { BlobPeerPlan, BlobsPlan, HostPlan } from "#protocol/host-plan.ts";

/**
 * What content is to be on which host, and from whom it gets it.
 *
 * Hosts stand in a ring, in an order by chance that is the same each time. An image is kept where it was brought to, and
 * by those that follow its own place in the ring, so that images are spread, and few move when a host comes or goes. A
 * host is told of those that keep what it needs, of the other hosts of the ensembles it runs machines of, and of those
 * that follow it in the ring: a few, however large the cloud is.
 */
export type ContentCloud = {
  readonly images: ReadonlyMap<string, ImageRecord>;
  readonly ensembles: readonly EnsembleRecord[];
  readonly hosts: ReadonlyMap<HostId, HostRecord>;
  readonly standing: (host: HostId) => HostStanding;
  readonly token: string;
  readonly checkpoints?: ReadonlyMap<HostId, CheckpointContent>;
};

/** What content is to be where, apart from what appliances need, which is with them. */
export type ContentPlan = Pick<HostPlan, "images" | "imports"> & { readonly blobs: BlobsPlan };

/**
 * Empty while there is no content at all. Else every host that can hold some knows the token, as any may be sent a copy
 * of an upload or of a checkpoint. Equal clouds give equal plans. Pure.
 */
export function contentPlans(cloud: ContentCloud): ReadonlyMap<HostId, ContentPlan> {
  const runs = machinesByHost(cloud.ensembles);
  const checkpoints = cloud.checkpoints ?? new Map<HostId, CheckpointContent>();
  if (cloud.images.size === 0 && runs.size === 0 && checkpoints.size === 0) return new Map();
  const ring = ringOf([...cloud.hosts.values()].filter(holdsContent));
  const open = ringOf(ring.filter(({ id }) => isOpen(cloud.standing(id))));
  const records = [...cloud.images.values()];
  const keepers = new Map(records.map((record) => [record, keepersOf(record, open, cloud.hosts)]));
  const kept = byHost(records, (record) => (record.image === undefined ? [] : (keepers.get(record) ?? [])));
  const brought = byHost(records, ({ state, host }) =>
    state === "importing" && host !== undefined ? [host] : [],
  );
  return new Map(
    ring.map(({ id }) => {
      const [mine, imports] = [kept.get(id) ?? [], brought.get(id) ?? []];
      const { keep = [], peers: ofCheckpoints = [] } = checkpoints.get(id) ?? {};
      const { images, hosts } = runs.get(id) ?? { images: new Set<string>(), hosts: new Set<HostId>() };
      const needed = [...images].flatMap((name) => recordNamed(cloud.images, name) ?? []);
      const needsOthers = mine.length + imports.length + keep.length + images.size > 0;
      const from = [
        ...ofCheckpoints,
        ...[...mine, ...imports, ...needed].flatMap((record) => keepers.get(record) ?? []),
      ];
      const plan: ContentPlan = {
        ...(mine.length === 0 ? {} : { images: mine.flatMap(({ image }) => image ?? []) }),
        ...(imports.length === 0
          ? {}
          : { imports: imports.map((record) => ({ id: record.id, image: record.spec })) }),
        blobs: {
          peers: needsOthers ? peersOf(id, cloud.hosts, from, hosts, ring) : [],
          token: cloud.token,
          ...(keep.length === 0 ? {} : { keep }),
        },
      };
      return [id, plan];
    }),
  );
}

/** Where it was brought to, and the next in the ring from a place of its own. */
export function keepersOf(
  { spec, host }: Pick<ImageRecord, "spec" | "host">,
  open: readonly HostRecord[],
  hosts: ReadonlyMap<HostId, HostRecord>,
): readonly HostId[] {
  const own = host !== undefined && hosts.has(host) ? [host] : [];
  const next = following(open, digest(spec.name), limits.imageCopies + 1).map(({ id }) => id);
  return [...new Set([...own, ...next])].slice(0, limits.imageCopies);
}

function peersOf(
  host: HostId,
  hosts: ReadonlyMap<HostId, HostRecord>,
  holders: readonly HostId[],
  neighbours: ReadonlySet<HostId>,
  ring: readonly HostRecord[],
): readonly BlobPeerPlan[] {
  const others = [
    ...[...neighbours].slice(0, limits.blobPeersMax),
    ...following(ring, rankOf(host), limits.blobPeersMax).map(({ id }) => id),
  ];
  // Those that hold what is needed are named, however many they are.
  const needed = new Set(holders.filter((id) => id !== host));
  const more = [...new Set(others)].filter((id) => id !== host && !needed.has(id));
  return [...needed, ...more.slice(0, Math.max(0, limits.blobPeersMax - needed.size))]
    .flatMap((id): BlobPeerPlan[] => {
      const one = hosts.get(id);
      return one?.blobPort === undefined ? [] : [{ host: id, address: one.address, port: one.blobPort }];
    })
    .sort((a, b) => (a.host < b.host ? -1 : 1));
}

const holdsContent = ({ role, blobPort }: HostRecord): boolean => role === "host" && blobPort !== undefined;

const isOpen = ({ fenced, scheduling }: HostStanding): boolean => !fenced && scheduling !== "draining";

const rankOf = (host: HostId): string => digest(["ring", host]);

const ringOf = (hosts: readonly HostRecord[]): readonly HostRecord[] =>
  hosts
    .map((host) => ({ host, rank: rankOf(host.id) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ host }) => host);

/** So many that come next from a place in the ring, or all. */
function following(ring: readonly HostRecord[], place: string, count: number): readonly HostRecord[] {
  let [low, high] = [0, ring.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rankOf(ring[middle]!.id) <= place) low = middle + 1;
    else high = middle;
  }
  return Array.from({ length: Math.min(count, ring.length) }, (_, at) => ring[(low + at) % ring.length]!);
}

function byHost(
  records: readonly ImageRecord[],
  hostsOf: (record: ImageRecord) => readonly HostId[],
): ReadonlyMap<HostId, readonly ImageRecord[]> {
  const found = new Map<HostId, ImageRecord[]>();
  for (const record of records) {
    for (const host of hostsOf(record)) found.set(host, [...(found.get(host) ?? []), record]);
  }
  return found;
}

type Runs = { readonly images: Set<string>; readonly hosts: Set<HostId> };

/** For each host with virtual machines: their images' names, and the other hosts of their ensembles. */
function machinesByHost(ensembles: readonly EnsembleRecord[]): ReadonlyMap<HostId, Runs> {
  const found = new Map<HostId, Runs>();
  for (const { images = {}, placements, state } of ensembles) {
    const names = Object.keys(images);
    if (names.length === 0 || state !== "present") continue;
    const hosts = new Set(Object.values<HostId>(placements));
    for (const host of hosts) {
      const runs = found.get(host) ?? { images: new Set(), hosts: new Set() };
      for (const name of names) runs.images.add(name);
      for (const other of hosts) runs.hosts.add(other);
      found.set(host, runs);
    }
  }
  return found;
}

/** Of the name, or of the address it came from. */
export function recordNamed(
  images: ReadonlyMap<string, ImageRecord>,
  nameOrAddress: string,
): ImageRecord | undefined {
  const named = images.get(nameOrAddress);
  if (named !== undefined || !nameOrAddress.includes("://")) return named;
  return [...images.values()].find(({ image }) => image?.origin === nameOrAddress);
}
