import { digest } from "#base/digest.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { CheckpointContent } from "#cluster/checkpoints.ts";
import type { EnsembleRecord, HostRecord, HostStanding } from "#cluster/records.ts";
import { blobsOf } from "#model/image.ts";
import type { Image, ImageSpec } from "#model/image.ts";
import type { BlobPeerPlan, BlobsPlan, HostPlan } from "#protocol/host-plan.ts";
import type { ImportReport } from "#protocol/host-report.ts";

/**
 * One image of the catalogue, as it is kept.
 *
 *     importing ──(its host has brought all of it)──► ready
 *         └──(it cannot be had, or cannot be used)──► failed
 */
export type ImageRecord = {
  /** Another one for every registration. */
  readonly id: string;
  readonly spec: ImageSpec;
  readonly state: "importing" | "ready" | "failed";
  /** Where it is brought to, and was: it keeps a copy. */
  readonly host?: HostId;
  /** Once it is ready. */
  readonly image?: Image;
  readonly registeredAtMs: number;
  /** Why it failed, or what it waits for. */
  readonly message?: string;
};

export type ImageWorld = {
  readonly nowMs: number;
  /** Hosts that could bring an image in, the best first; not silent ones. */
  readonly hosts: readonly HostId[];
  /** Gone, or silent for so long that others have to do its work. */
  readonly isLost: (host: HostId) => boolean;
  readonly report: (host: HostId, id: string) => ImportReport | undefined;
};

const noHost = "no host that could bring it in is there";

/** What becomes of an image now; undefined: nothing. Pure. */
export function nextOfImage(record: ImageRecord, world: ImageWorld): ImageRecord | undefined {
  if (record.state !== "importing") return undefined;
  const { host } = record;
  if (host === undefined || world.isLost(host)) {
    const [next] = world.hosts;
    if (next !== undefined) return withoutMessage({ ...record, host: next });
    return record.message === noHost ? undefined : { ...record, message: noHost };
  }
  const told = world.report(host, record.id);
  if (told?.state === "failed")
    return { ...record, state: "failed", message: told.message ?? "it could not be brought in" };
  if (told?.state !== "done" || told.content === undefined) return undefined;
  const { name, role, architecture, features, origin } = record.spec;
  const image: Image = {
    name,
    role,
    architecture,
    features,
    ...told.content,
    ...(origin === undefined ? {} : { origin }),
    registeredAtMs: world.nowMs,
  };
  return withoutMessage({ ...record, state: "ready", image });
}

function withoutMessage({ message: _message, ...record }: ImageRecord): ImageRecord {
  return record;
}

type ContentCloud = {
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
 * Hosts that keep each image, and hosts they are copied between: those that bring or keep images, or run virtual
 * machines, are told; all others of nothing. Equal clouds give equal plans. Pure.
 */
export function contentPlans(cloud: ContentCloud): ReadonlyMap<HostId, ContentPlan> {
  const records = [...cloud.images.values()];
  const runners = vmHosts(cloud.ensembles);
  if (records.length === 0 && runners.size === 0) return new Map();
  const holders = [...cloud.hosts.values()]
    .filter(({ role, blobPort }) => role === "host" && blobPort !== undefined)
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const keepers = new Map(records.map((record) => [record, keepersOf(record, holders, cloud.standing)]));
  const peers = new Map(
    holders.map(({ id }) => {
      const { peers: ofCheckpoints = [] } = cloud.checkpoints?.get(id) ?? {};
      const others = [...ofCheckpoints, ...[...keepers.values()].flat()];
      return [id, peersOf(id, holders, others, runners.get(id) ?? [])] as const;
    }),
  );
  // Those that may be sent copies of checkpoints have to know the token, too.
  const told = new Set(
    [...runners.keys()].flatMap((id) => [id, ...(peers.get(id) ?? []).map(({ host }) => host)]),
  );
  const plans = new Map<HostId, ContentPlan>();
  for (const { id } of holders) {
    const keep = cloud.checkpoints?.get(id)?.keep ?? [];
    const images = records.flatMap((record) =>
      record.image !== undefined && keepers.get(record)?.includes(id) === true ? [record.image] : [],
    );
    const imports = records
      .filter(({ state, host }) => state === "importing" && host === id)
      .map((record) => ({ id: record.id, image: record.spec }));
    if (images.length + imports.length + keep.length === 0 && !told.has(id)) continue;
    plans.set(id, {
      ...(images.length === 0 ? {} : { images }),
      ...(imports.length === 0 ? {} : { imports }),
      blobs: {
        peers: peers.get(id) ?? [],
        token: cloud.token,
        ...(keep.length === 0 ? {} : { keep }),
      },
    });
  }
  return plans;
}

/** Hosts an image is kept on: where it was brought to, and others chosen by its name, so that they differ. */
export function keepersOf(
  { spec, host }: ImageRecord,
  holders: readonly HostRecord[],
  standing: (host: HostId) => HostStanding,
): readonly HostId[] {
  const open = holders.filter(({ id }) => !standing(id).fenced && standing(id).scheduling !== "draining");
  const own = host !== undefined && holders.some(({ id }) => id === host) ? [host] : [];
  const others = rankedHosts(
    open.map(({ id }) => id).filter((id) => id !== host),
    spec.name,
  );
  return [...own, ...others].slice(0, limits.imageCopies);
}

/** Every host its own few, and first of all those that keep images. */
function peersOf(
  host: HostId,
  holders: readonly HostRecord[],
  keepers: readonly HostId[],
  others: readonly HostId[],
): readonly BlobPeerPlan[] {
  const byId = new Map(holders.map((one) => [one.id, one]));
  const chosen = [
    ...rankedHosts([...new Set(keepers)], host),
    ...rankedHosts([...new Set(others)], host),
    ...rankedHosts([...byId.keys()], host),
  ];
  return [...new Set(chosen)]
    .filter((id) => id !== host)
    .slice(0, limits.blobPeersMax)
    .flatMap((id): BlobPeerPlan[] => {
      const one = byId.get(id);
      return one?.blobPort === undefined ? [] : [{ host: id, address: one.address, port: one.blobPort }];
    })
    .sort((a, b) => (a.host < b.host ? -1 : 1));
}

/** In an order that is another one for every `seed`, and the same each time. */
export const rankedHosts = (hosts: readonly HostId[], seed: string): HostId[] =>
  hosts
    .map((id) => ({ id, rank: digest([seed, id]) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ id }) => id);

/** Hosts with virtual machines, and for each the hosts of others of the same ensembles. */
function vmHosts(ensembles: readonly EnsembleRecord[]): ReadonlyMap<HostId, readonly HostId[]> {
  const found = new Map<HostId, HostId[]>();
  for (const { images, placements, state } of ensembles) {
    if (images === undefined || Object.keys(images).length === 0 || state !== "present") continue;
    const hosts = [...new Set(Object.values<HostId>(placements))];
    for (const host of hosts) found.set(host, [...(found.get(host) ?? []), ...hosts]);
  }
  return found;
}

/** Ensembles whose machines are made from this very content. */
export function usersOf({ image }: ImageRecord, ensembles: readonly EnsembleRecord[]): readonly string[] {
  if (image === undefined) return [];
  const digests = new Set(blobsOf(image).map((blob) => blob.digest));
  return ensembles
    .filter(({ images = {} }) =>
      Object.values(images).some((used) => blobsOf(used).some((blob) => digests.has(blob.digest))),
    )
    .map(({ ensemble }) => ensemble.name);
}

/** The image that a name, or the address it came from, stands for now. */
export function lookUpImage(
  images: ReadonlyMap<string, ImageRecord>,
  nameOrAddress: string,
): Image | undefined {
  const named = images.get(nameOrAddress)?.image;
  if (named !== undefined || !nameOrAddress.includes("://")) return named;
  return [...images.values()].find(({ image }) => image?.origin === nameOrAddress)?.image;
}
