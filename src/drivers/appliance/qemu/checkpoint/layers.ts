import type { BlobStore } from "#drivers/blob/port.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import type { BlobRef } from "#model/image.ts";
import { partContent } from "./part.ts";

/**
 * The read-only layers of each disk that what a checkpoint kept consists of, by the disk's name, the newest first: they
 * lie above the layers of its images. `chain`: the newest first, all content is in `blobs`.
 */
export async function restoredLayers(
  chain: readonly Checkpoint[],
  blobs: BlobStore,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly BlobRef[]>> {
  const layers = new Map<string, BlobRef[]>();
  for (const { disks } of chain) {
    for (const { disk, content } of disks) {
      const layer =
        content.compression === "none"
          ? { digest: content.digest, sizeBytes: content.sizeBytes }
          : await blobs.put(partContent(content, blobs, signal), {}, signal);
      layers.set(disk, [...(layers.get(disk) ?? []), layer]);
    }
  }
  return layers;
}
