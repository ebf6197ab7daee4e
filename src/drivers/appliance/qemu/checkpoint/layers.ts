import { open } from "node:fs/promises";
import { ConsortError } from "#base/errors.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import { diskFactsOf, headerBytes } from "#drivers/image/disk-header.ts";
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
      await checkLayer(blobs.path(layer.digest));
      layers.set(disk, [...(layers.get(disk) ?? []), layer]);
    }
  }
  return layers;
}

/**
 * What a layer says was said by a machine's QEMU, and who broke out of its guest may have said it: one that names
 * another file would have programs of the host, which open it with all rights, read and write there.
 */
async function checkLayer(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    const { format } = diskFactsOf(buffer.subarray(0, bytesRead), (await file.stat()).size);
    if (format === "qcow2") return;
  } finally {
    await file.close();
  }
  throw new ConsortError("bad_input", "Cannot use a disk of a checkpoint: it is raw, qcow2 was wanted");
}
