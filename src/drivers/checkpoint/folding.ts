import type { ChainRecord, TakenRecord } from "#drivers/checkpoint/chain-record.ts";
import type { SavedCopies } from "#drivers/checkpoint/port.ts";
import { chainOf } from "#model/checkpoint-chain.ts";
import type { Checkpoint } from "#model/checkpoint.ts";

/**
 * The record once a checkpoint is a full one that needs nothing below it; it keeps its name. Those taken after it need
 * the full one now: a host, or a store, that has not got it has none of them whole any more, until the next checkpoint
 * brings it all that is missing. What the machine began from, if it lay below, is in the full one.
 */
export function withFold(
  record: ChainRecord,
  full: Checkpoint,
  saved: SavedCopies & Pick<TakenRecord, "store">,
): ChainRecord {
  const known = record.taken.map(({ checkpoint }) => checkpoint);
  const [, ...below] = chainOf(full.id, known) ?? [];
  // What lay below and is needed otherwise stays: a machine that was begun anew is taken after what it began from.
  const others = known.filter((one) => one.id !== full.id && !below.includes(one));
  const after = known.map((one) => (one.id === full.id ? full : one));
  const isNeeded = new Set(others.flatMap(({ id }) => chainOf(id, after) ?? []).map(({ id }) => id));
  const isBelow = new Set(below.map(({ id }) => id).filter((id) => !isNeeded.has(id)));
  const needsFull = ({ checkpoint }: TakenRecord): boolean =>
    chainOf(checkpoint.id, known)?.some(({ id }) => id === full.id) === true;
  const taken = record.taken
    .filter(({ checkpoint }) => !isBelow.has(checkpoint.id))
    .map((one): TakenRecord => {
      if (one.checkpoint.id === full.id) return { ...saved, checkpoint: full };
      if (!needsFull(one)) return one;
      const copies = one.copies.filter((host) => saved.copies.includes(host));
      const lost = one.copies.filter((host) => !saved.copies.includes(host));
      const { store, ...there } = one;
      const inStore = store === undefined || store !== saved.store ? {} : { store };
      return { ...there, copies, missing: [...new Set([...one.missing, ...lost])], ...inStore };
    });
  const { beganFrom } = record;
  if (beganFrom === undefined || !isBelow.has(beganFrom)) return { ...record, taken };
  return { ...record, taken, beganFrom: full.id };
}
