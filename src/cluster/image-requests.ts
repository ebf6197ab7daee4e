import { ConsortError } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { ClusterContext, ClusterManagerParts } from "#cluster/context.ts";
import type { HostsSeen } from "#cluster/hosts-seen.ts";
import { rankedHosts, usersOf } from "#cluster/images.ts";
import type { ImageRecord } from "#cluster/images.ts";
import { keys } from "#cluster/records.ts";
import type { ClusterState } from "#cluster/state.ts";
import { blobsOf, sourcesOf } from "#model/image.ts";
import type { Digest, ImageSpec } from "#model/image.ts";
import type { ImageStatus } from "#protocol/http/image.ts";
import { hostAddress, topics } from "#protocol/topics.ts";
import type {
  CollectResult,
  DiscoverResult,
  SecretBody,
  UploadBody,
  UploadResult,
} from "#protocol/topics.ts";

const tokenBytes = 32;

/** What hosts ask of each other when they copy content: made once, and kept. */
export async function contentToken(
  { store, random }: Pick<ClusterManagerParts, "store" | "random">,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    const entry = await store.get(keys.contentToken, signal);
    if (typeof entry?.value === "string") return entry.value;
    const writes = [{ put: keys.contentToken, value: random.hex(tokenBytes) }];
    await store.commit(writes, [{ key: keys.contentToken, revision: 0 }], signal);
  }
}

/** Durable when it resolves. What had the name before serves until this one is ready. */
export async function registerImage(
  context: ClusterContext,
  spec: ImageSpec,
  signal: AbortSignal,
): Promise<ImageStatus> {
  const { state, parts, events, wake } = context;
  const record = await state.change(() => {
    const before = state.images().get(spec.name);
    if (before === undefined && state.images().size >= limits.imagesMax)
      throw new ConsortError(
        "limit_exceeded",
        `Cannot register ${spec.name}: the catalogue has ${limits.imagesMax} images, at most so many fit`,
      );
    const registered: ImageRecord = {
      id: `${spec.name}-${parts.random.hex(4)}`,
      spec,
      state: "importing",
      registeredAtMs: parts.clock.now(),
      ...(before?.image === undefined ? {} : { image: before.image }),
    };
    return { writes: [{ put: keys.image(spec.name), value: registered }], result: registered };
  }, signal);
  events.append("image.registered", `image/${spec.name}`, "registered, to be brought in");
  wake.now();
  return imageView(context, record);
}

export function knownImage({ state }: ClusterContext, name: string): ImageRecord {
  const record = state.images().get(name);
  if (record !== undefined) return record;
  throw new ConsortError(
    "not_found",
    `Cannot find image "${name}": the catalogue has none of this name, see consort image ls`,
  );
}

/** Throws `conflict` while machines are made from it. */
export async function removeImage(context: ClusterContext, name: string, signal: AbortSignal): Promise<void> {
  const { state, events, wake } = context;
  await state.change(() => {
    const record = knownImage(context, name);
    const users = usersOf(record, state.ensembles());
    if (users.length > 0)
      throw new ConsortError(
        "conflict",
        `Cannot remove ${name}: ${users.join(", ")} ${users.length === 1 ? "is" : "are"} made from it; take that down first`,
      );
    return { writes: [{ delete: keys.image(name) }], result: undefined };
  }, signal);
  events.append("image.removed", `image/${name}`, "removed from the catalogue");
  wake.now();
}

export const imageViews = (context: ClusterContext): ImageStatus[] =>
  [...context.state.images().values()]
    .map((record) => imageView(context, record))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

export function imageView({ state, seen }: ClusterContext, record: ImageRecord): ImageStatus {
  const { spec, image, registeredAtMs, host, message } = record;
  const blobs = image === undefined ? [] : blobsOf(image);
  const report = host === undefined ? undefined : seen.report(host);
  const told = report?.imports?.find(({ id }) => id === record.id);
  const copies = [...seen.fresh()]
    .filter(
      ([, { blobs: held = [] }]) => blobs.length > 0 && blobs.every(({ digest }) => held.includes(digest)),
    )
    .map(([id]) => id)
    .sort();
  return {
    name: spec.name,
    state: record.state,
    role: spec.role,
    architecture: spec.architecture,
    features: [...spec.features],
    ...(spec.boot === undefined ? {} : { boots: spec.boot.kind }),
    ...(image?.disk === undefined
      ? {}
      : { format: image.disk.format, virtualBytes: image.disk.virtualBytes }),
    ...(image === undefined ? {} : { sizeBytes: blobs.reduce((sum, blob) => sum + blob.sizeBytes, 0) }),
    content: blobs.map(({ digest }) => digest),
    ...(spec.origin === undefined ? {} : { origin: spec.origin }),
    registeredAtMs,
    ...(host === undefined ? {} : { host }),
    copies,
    usedBy: [...usersOf(record, state.ensembles())],
    ...(told === undefined || record.state !== "importing" ? {} : { doneBytes: told.doneBytes }),
    ...(told?.totalBytes === undefined || record.state !== "importing"
      ? {}
      : { totalBytes: told.totalBytes }),
    ...(message === undefined ? {} : { message }),
  };
}

/** Goes on where what came before went to. */
export async function uploadPart(
  context: ClusterContext,
  part: UploadBody,
  signal: AbortSignal,
): Promise<UploadResult> {
  const host = uploadHost(context, part.blob.digest);
  return (await ask(context, host, topics.upload, part, signal)) as UploadResult;
}

/**
 * The same host each time, or one that has it already. Throws `unavailable` while the one it was, known from before
 * this manager was there, may yet be heard of: another one would begin anew.
 */
export function uploadHost({ state, seen }: HoldersContext, digest: Digest): HostId | undefined {
  const [host] = holdingHosts({ state, seen }, digest, [digest]);
  if (host !== undefined && seen.report(host)?.blobs?.includes(digest)) return host;
  const awaited = [...state.hosts().keys()].filter(
    (id) => state.standing(id).scheduling === "open" && !seen.isFresh(id) && seen.isThere(id),
  );
  const [first] = rankedHosts([...awaited, ...(host === undefined ? [] : [host])], digest);
  if (first === host) return host;
  throw new ConsortError("unavailable", `Cannot upload yet: host ${first} has not been heard of again`);
}

/** Of an address, as a host sees it. */
export async function discoverImages(
  context: ClusterContext,
  at: { readonly url: string; readonly credentials?: string | undefined },
  signal: AbortSignal,
): Promise<readonly ImageSpec[]> {
  const { url, credentials } = at;
  const { secrets } = context.parts;
  if (credentials !== undefined && secrets === undefined)
    throw new ConsortError("unsupported", "Cannot use a secret: this cluster manager keeps none");
  const secret = credentials === undefined ? {} : { secret: await secrets?.get(credentials, signal) };
  const [host] = holdingHosts(context, url, []);
  return ((await ask(context, host, topics.discover, { url, ...secret }, signal)) as DiscoverResult).images;
}

/** Every host that is there removes what nobody needs: also one that gets nothing new. */
export async function collectContent(context: ClusterContext, signal: AbortSignal): Promise<CollectResult> {
  const results = await Promise.all(
    [...context.seen.fresh().values()]
      .flatMap(({ host, blobPort }) => (blobPort === undefined ? [] : [host]))
      .map(async (host) => (await ask(context, host, topics.collect, {}, signal)) as CollectResult),
  );
  return {
    removed: results.reduce((sum, one) => sum + one.removed, 0),
    freedBytes: results.reduce((sum, one) => sum + one.freedBytes, 0),
  };
}

type HoldersContext = {
  readonly state: Pick<ClusterState, "hosts" | "standing">;
  readonly seen: Pick<HostsSeen, "fresh" | "isFresh" | "isThere" | "report">;
};

/** Hosts that hold content and are there; first those that have this, then in an order of the seed's own. */
export function holdingHosts(
  { state, seen }: HoldersContext,
  seed: string,
  content: readonly Digest[],
): readonly HostId[] {
  const reports = [...seen.fresh().values()].filter(({ blobPort }) => blobPort !== undefined);
  const open = reports.filter(({ host }) => state.standing(host).scheduling === "open");
  const has = new Set(
    open
      .filter(({ blobs = [] }) => content.length > 0 && content.every((digest) => blobs.includes(digest)))
      .map(({ host }) => host),
  );
  const order = rankedHosts(
    open.map(({ host }) => host),
    seed,
  );
  return [...order.filter((host) => has.has(host)), ...order.filter((host) => !has.has(host))];
}

/** A host is told only what an image names that it is to bring in. */
export function isNamedByImport({ state }: ClusterContext, { host, name }: SecretBody): boolean {
  return [...state.images().values()].some(
    (record) =>
      record.host === host &&
      record.state === "importing" &&
      sourcesOf(record.spec).some((source) => source.kind === "url" && source.credentials === name),
  );
}

async function ask(
  { parts }: ClusterContext,
  host: HostId | undefined,
  topic: string,
  body: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  if (host !== undefined) return parts.messaging.request(hostAddress(host), topic, body, signal);
  throw new ConsortError("unavailable", "Cannot reach a host that holds content: none is there");
}
