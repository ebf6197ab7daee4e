import { chown } from "node:fs/promises";
import { ConsortError } from "#base/errors.ts";
import type { MachineStorage, PreparedDisk, PreparedLayer } from "#drivers/appliance/qemu/storage.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { Image } from "#model/image.ts";
import type { DiskLayers } from "./port.ts";
import { diskSerials } from "./serials.ts";

/** A machine's disks: its own layers from the spool, and below or beside them the blobs of its images. */
export function machineStorage(parts: {
  readonly layers: DiskLayers;
  readonly blobs: Pick<BlobStore, "has" | "path">;
}): MachineStorage {
  return {
    async prepare({ plan, directory, uid }, onStage, signal) {
      const { vm } = plan;
      // Known before anything is made: a machine without its image is not begun.
      const base = vm.base.disk === undefined ? [] : [blobLayer(vm.base, parts.blobs)];
      const software = vm.software.map((image, index): PreparedDisk => {
        const layers = [blobLayer(image, parts.blobs)];
        return { name: diskSerials.software(index), readOnly: true, layers };
      });
      const own = await parts.layers.create(
        vm,
        directory,
        ({ kind, from, tookMs }) => onStage(`${kind}: ${told[from]}`, tookMs),
        signal,
      );
      const writable: PreparedDisk[] = [];
      for (const { kind, file } of own) {
        await chown(file, uid, uid);
        const layers = [{ file, format: "qcow2" as const }, ...(kind === "root" ? base : [])];
        writable.push({ name: diskSerials[kind], readOnly: false, layers });
      }
      return [...writable, ...software];
    },
    remove: (directory, signal) => parts.layers.remove(directory, signal),
  };
}

const told = { there: "kept", spool: "ready-made", made: "made" } as const;

function blobLayer(image: Image, blobs: Pick<BlobStore, "has" | "path">): PreparedLayer {
  const { disk } = image;
  if (disk === undefined)
    throw new ConsortError("bad_input", `Cannot use image ${image.name} as a disk: it has none`);
  if (!blobs.has(disk.digest))
    throw new ConsortError(
      "unavailable",
      `Cannot use image ${image.name}: ${disk.digest} is not on this host yet`,
    );
  return { file: blobs.path(disk.digest), format: disk.format };
}
