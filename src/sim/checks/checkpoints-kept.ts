import type { HostId } from "#base/ids.ts";
import type { CheckpointsRecord } from "#cluster/checkpoints.ts";
import { blobsOfAll, chainOf } from "#model/checkpoint-chain.ts";
import type { Digest } from "#model/image.ts";
import type { Breach } from "#sim/checks/breach.ts";

/** Whether a host's disk has this content, whatever its manager believes. */
export type HasContent = (host: HostId, digest: Digest) => boolean;

/** From when to when a machine stood still for a checkpoint, in virtual ms. */
export type Stood = { readonly fromMs: number; readonly toMs: number };

/** A checkpoint of which users are told that it is complete, and a host said to have a copy lacks a part of it. */
export function checkpointLost(
  records: Iterable<CheckpointsRecord>,
  hasContent: HasContent,
): Breach | undefined {
  for (const { appliance, taken } of records) {
    const known = taken.map((one) => one.checkpoint);
    for (const { checkpoint, copies } of taken) {
      const what = `the checkpoint ${checkpoint.id} of ${appliance}`;
      const chain = chainOf(checkpoint.id, known);
      if (chain === undefined) return broken(`${what} is told complete without what it was taken after`);
      if (new Set(copies).size < copies.length) return broken(`two copies of ${what} are on one host`);
      for (const host of copies) {
        const missing = blobsOfAll(chain).find(({ digest }) => !hasContent(host, digest));
        if (missing !== undefined) return broken(`${what} is told complete on ${host}, which lacks a part`);
      }
    }
  }
  return undefined;
}

/** Checkpoints told to be of one moment, of machines that never stood still together. */
export function takenApart(
  records: Iterable<CheckpointsRecord>,
  stoodOf: (appliance: string, checkpoint: string) => Stood | undefined,
): Breach | undefined {
  const all = [...records].flatMap(({ appliance, taken }) =>
    taken.flatMap(({ checkpoint: { id, group } }) => {
      const stood = stoodOf(appliance, id);
      return group === undefined || stood === undefined ? [] : [{ appliance, group, stood }];
    }),
  );
  for (const [group, members] of Map.groupBy(all, (one) => one.group)) {
    const latest = members.reduce((a, b) => (b.stood.fromMs > a.stood.fromMs ? b : a));
    const first = members.reduce((a, b) => (b.stood.toMs < a.stood.toMs ? b : a));
    if (latest.stood.fromMs > first.stood.toMs) {
      return broken(`${group}: ${first.appliance} went on before ${latest.appliance} stood still`);
    }
  }
  return undefined;
}

const broken = (message: string): Breach => ({ invariant: "checkpoints-kept", message });
