import { stat } from "node:fs/promises";
import { join } from "node:path";
import { millis } from "#base/units.ts";
import type { DiskLayers, LayerStage, MachineLayer } from "./port.ts";
import { layerFile, layerFiles, shapesOf } from "./shapes.ts";
import { LayerSpool } from "./spool.ts";
import type { SpoolOptions } from "./spool.ts";

/** Layers from a spool of ready-made ones, or made at once when none is ready. */
export function spooledLayers(options: SpoolOptions): DiskLayers {
  const spool = new LayerSpool(options);
  const { clock } = options;
  return {
    recover: () => spool.recover(),
    async create(vm, directory, onStage, signal) {
      const layers: MachineLayer[] = [];
      for (const shape of shapesOf(vm)) {
        signal.throwIfAborted();
        const began = clock.monotonic();
        const file = join(directory, layerFile(shape.kind));
        const from = await provide(spool, shape, file, signal);
        layers.push({ ...shape, file });
        onStage({ kind: shape.kind, from, tookMs: millis(clock.monotonic() - began) });
      }
      return layers;
    },
    async remove(directory) {
      for (const name of layerFiles) await spool.discard(join(directory, name));
    },
    expect(vm) {
      for (const shape of shapesOf(vm)) spool.expect(shape);
    },
    settled: (signal) => spool.settled(signal),
    close: () => spool.close(),
  };
}

async function provide(
  spool: LayerSpool,
  shape: Parameters<LayerSpool["take"]>[0],
  file: string,
  signal: AbortSignal,
): Promise<LayerStage["from"]> {
  if (await isThere(file)) return "there";
  if (await spool.take(shape, file)) return "spool";
  await spool.makeAt(shape, file, signal);
  return "made";
}

async function isThere(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
