import { ConsortError } from "#base/errors.ts";
import type { Checkpoint, CheckpointPart } from "#model/checkpoint.ts";
import type { BlobRef, Digest } from "#model/image.ts";

/** Checkpoints each taken after the one before it: the newest first, a full one last. */
export type CheckpointChain = readonly Checkpoint[];

/** One checkpoint with all it needs, the newest first; undefined when one of them is not known. */
export function chainOf(id: string, known: readonly Checkpoint[]): CheckpointChain | undefined {
  const byId = new Map(known.map((one) => [one.id, one]));
  const chain: Checkpoint[] = [];
  for (let next: string | undefined = id; next !== undefined;) {
    const one = byId.get(next);
    if (one === undefined || chain.includes(one)) return undefined;
    chain.push(one);
    next = one.after;
  }
  return chain;
}

export function partsOf({ disks, memory }: Checkpoint): readonly CheckpointPart[] {
  const contents = disks.map(({ content }) => content);
  return memory === undefined ? contents : [...contents, memory];
}

/** The content of all of them, each once. */
export function blobsOfAll(checkpoints: readonly Checkpoint[]): readonly BlobRef[] {
  const blobs = new Map(
    checkpoints.flatMap(partsOf).map(({ digest, sizeBytes }) => [digest, { digest, sizeBytes }] as const),
  );
  return [...blobs.values()];
}

/** What of a store's place is needed: the names of its records, and the content of their chains. */
export type KeptInPlace = { readonly records: readonly string[]; readonly parts: readonly Digest[] };

/** `all`: complete ones of one appliance, wherever they are. Each that is in the place has all that it needs there. */
export function keptInPlace(
  all: readonly { readonly checkpoint: Checkpoint; readonly store?: string }[],
  place: string,
): KeptInPlace {
  const known = all.map(({ checkpoint }) => checkpoint);
  const here = all.filter(({ store }) => store === place).map(({ checkpoint }) => checkpoint.id);
  const parts = blobsOfAll(here.flatMap((id) => chainOf(id, known) ?? []));
  return { records: here.toSorted(), parts: parts.map(({ digest }) => digest).toSorted() };
}

/** Memory's parts of a chain, the newest first. @throws bad_input */
export function memoryOf(chain: CheckpointChain): readonly CheckpointPart[] {
  return chain.map(({ id, memory }) => {
    if (memory === undefined) {
      throw new ConsortError("bad_input", `Cannot restore from the checkpoint ${id}: it has no memory`);
    }
    return memory;
  });
}

/**
 * What is kept of those taken so far, the newest last: the newest `keep`, and what they need. `fold`: the oldest of
 * these, when the chain below it has grown so long that it is to be made a full one.
 */
export function retention(
  taken: readonly Checkpoint[],
  keep: number,
  foldAbove: number,
): { readonly needed: readonly Checkpoint[]; readonly fold?: Checkpoint } {
  const newest = taken.slice(-Math.max(1, keep));
  const needed = new Set(newest.flatMap(({ id }) => chainOf(id, taken) ?? []));
  const [oldest] = newest;
  const below = oldest === undefined ? [] : (chainOf(oldest.id, taken) ?? []);
  return {
    needed: taken.filter((one) => needed.has(one)),
    ...(oldest !== undefined && below.length > foldAbove ? { fold: oldest } : {}),
  };
}
