import { copyFile, constants, chmod, rm } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { memoryOf } from "#model/checkpoint-chain.ts";
import type { CheckpointChain } from "#model/checkpoint-chain.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import type { BlobRef } from "#model/image.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { restoredLayers } from "./layers.ts";
import { foldedMemory } from "./merge.ts";
import { keepPart } from "./part.ts";
import type { PartTarget } from "./part.ts";

export type FoldParts = PartTarget & { readonly subprocess: Subprocess };

/**
 * The newest of a chain as a full one with the same name: those taken after it need nothing below any more. Nothing of
 * the machine is touched, and the parts it is made from stay as they are.
 */
export async function folded(
  chain: CheckpointChain,
  parts: FoldParts,
  signal: AbortSignal,
): Promise<Checkpoint> {
  const [newest] = chain;
  if (newest === undefined || chain.length === 1) return newest as Checkpoint;
  const layers = await restoredLayers(chain, parts.blobs, signal);
  const disks: Checkpoint["disks"][number][] = [];
  for (const { disk } of newest.disks) {
    const file = await foldLayers(
      layers.get(disk) ?? [],
      `${encodeURIComponent(newest.appliance)}-${newest.id}-${disk}`,
      parts,
      signal,
    );
    try {
      disks.push({ disk, content: await keepPart(createReadStream(file), parts, signal) });
    } finally {
      await rm(file, { force: true });
    }
  }
  const memory = await keepPart(foldedMemory(memoryOf(chain), parts.blobs, signal), parts, signal);
  const { after: _after, ...rest } = newest;
  return { ...rest, disks, memory };
}

/** Each layer's content goes into the one below it; what none of them has stays to be had from further below. */
async function foldLayers(
  layers: readonly BlobRef[],
  name: string,
  { blobs, subprocess }: FoldParts,
  signal: AbortSignal,
): Promise<string> {
  const base = join(blobs.workshop, `fold-${name}.qcow2`);
  const layer = join(blobs.workshop, `fold-${name}-layer.qcow2`);
  const copy = async ({ digest }: BlobRef, to: string): Promise<void> => {
    await rm(to, { force: true });
    await copyFile(blobs.path(digest), to, constants.COPYFILE_FICLONE);
    await chmod(to, 0o600);
  };
  try {
    for (const [at, one] of layers.toReversed().entries()) {
      if (at === 0) await copy(one, base);
      else {
        await copy(one, layer);
        const format = ["-F", "qcow2"];
        await subprocess.check("qemu-img", ["rebase", "-q", "-u", "-b", base, ...format, layer], signal);
        await subprocess.check("qemu-img", ["commit", "-q", "-d", "-f", "qcow2", layer], signal);
      }
    }
    return base;
  } catch (cause) {
    await rm(base, { force: true });
    throw cause;
  } finally {
    await rm(layer, { force: true });
  }
}
