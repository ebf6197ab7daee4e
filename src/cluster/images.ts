import { digest } from "#base/digest.ts";
import type { HostId } from "#base/ids.ts";
import { recordNamed } from "#cluster/content-plans.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { blobsOf } from "#model/image.ts";
import type { Image, ImageSpec } from "#model/image.ts";
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

/** In an order that is another one for every `seed`, and the same each time. */
export const rankedHosts = (hosts: readonly HostId[], seed: string): HostId[] =>
  hosts
    .map((id) => ({ id, rank: digest([seed, id]) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ id }) => id);

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
export const lookUpImage = (
  images: ReadonlyMap<string, ImageRecord>,
  nameOrAddress: string,
): Image | undefined => recordNamed(images, nameOrAddress)?.image;
