import { chown, rename, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/runtime.ts";
import { bytes, millis } from "#base/units.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { hostMemoryOf } from "#model/vm-memory.ts";
import type { Beginning, Starter, StartWay } from "../starter.ts";
import type { MachineStorage, PreparedDisk, PreparedLayer } from "../storage.ts";
import { correctGuestClock } from "./guest-clock.ts";
import type { MachineCheckpoints } from "./machines.ts";

/** Of a layer above what was kept of a disk. */
const topEnding = "-restored.qcow2";

export type RestorerParts = {
  readonly checkpoints: MachineCheckpoints;
  readonly blobs: BlobStore;
  readonly subprocess: Subprocess;
  readonly clock: Clock;
};

/**
 * Disks of machines that begin from a checkpoint: an empty layer of their own, above what was kept of each disk, above
 * the layers of their images. Those of all others are as `inner` makes them.
 */
export function restoringStorage(inner: MachineStorage, parts: RestorerParts): MachineStorage {
  return {
    async prepare(request, onStage, signal) {
      const disks = await inner.prepare(request, onStage, signal);
      if (request.plan.vm.restore === undefined) return disks;
      const { checkpoints, blobs, clock } = parts;
      const began = clock.monotonic();
      const layers = await checkpoints.layers(request.plan, () => {}, signal);
      const restored: PreparedDisk[] = [];
      for (const disk of disks) {
        const kept = layers.get(disk.name);
        if (kept === undefined) {
          restored.push(disk);
          continue;
        }
        const below = kept.map(({ digest }): PreparedLayer => ({
          file: blobs.path(digest),
          format: "qcow2",
        }));
        const top = join(request.directory, disk.name + topEnding);
        await makeTop(top, below, request.uid, parts, signal);
        const [, ...ofImages] = disk.layers;
        restored.push({ ...disk, layers: [{ file: top, format: "qcow2" }, ...below, ...ofImages] });
      }
      onStage("checkpoint", millis(clock.monotonic() - began));
      return restored;
    },
    remove: (directory, signal) => inner.remove(directory, signal),
  };
}

/** As large as the layer below it; what the machine has written into it is never made anew. */
async function makeTop(
  file: string,
  [below]: readonly PreparedLayer[],
  uid: number,
  { subprocess }: Pick<RestorerParts, "subprocess">,
  signal: AbortSignal,
): Promise<void> {
  if (below === undefined || existsSync(file)) return;
  const draft = `${file}.new`;
  // Its machine may have put something there that leads elsewhere.
  await rm(draft, { recursive: true, force: true });
  const options = ["-q", "-f", "qcow2", "-F", "qcow2", "-b", below.file];
  await subprocess.check("qemu-img", ["create", ...options, draft], signal);
  await chown(draft, uid, uid);
  await rename(draft, file);
}

/** As it was when its machine was made; nothing of that runs. */
async function renewTop(
  { layers: [top, ...below] }: PreparedDisk,
  uid: number,
  parts: Pick<RestorerParts, "subprocess">,
  signal: AbortSignal,
): Promise<void> {
  if (top === undefined || !top.file.endsWith(topEnding)) return;
  await rm(top.file, { recursive: true, force: true });
  await makeTop(top.file, below, uid, parts, signal);
}

/**
 * At its first run here, its memory is read from its checkpoint; should QEMU end later, it boots from its disks, as it
 * does when the machine was declared otherwise since and cannot go on with that memory. One that arrives from another
 * host has gone on from there long since.
 */
export function restoreStarter({
  checkpoints,
  clock,
  subprocess,
}: Pick<RestorerParts, "checkpoints" | "clock" | "subprocess">): Starter {
  return {
    async begin({ record, spec, slots, uid }: Beginning, signal): Promise<StartWay | undefined> {
      const { plan, run, disks = [] } = record;
      if (plan.vm.restore?.cold === true || plan.vm.move?.side === "arriving") return undefined;
      const began = await checkpoints.beganWith(plan, signal);
      if (began === undefined) return undefined;
      // Its guest may have gone on for a moment that nobody was there to write down, and have written to its disks.
      if (run !== undefined) for (const disk of disks) await renewTop(disk, uid, { subprocess }, signal);
      // It comes with all it had; what it is to have less is taken from it once it runs.
      const { vcpusMax, memoryBytesMax } = plan.vm;
      const memoryBytes = bytes(Math.max(plan.memoryBytes, began.memoryBytes, memoryBytesMax));
      const most = { memoryBytes: hostMemoryOf({ memoryBytes, vcpusMax }) };
      await slots.adapt(new Map([[plan.id, most]]), signal);
      return {
        start: "restored",
        spec: { ...spec, ...began, incoming: true },
        bringUp: async (vm, stop) => {
          await checkpoints.restore(vm, stop);
          // It runs: how late its clock is keeps nobody waiting.
          if (plan.vm.base.features.includes("agent"))
            void correctGuestClock(vm.agent, clock, stop).catch(() => {});
        },
      };
    },
  };
}
