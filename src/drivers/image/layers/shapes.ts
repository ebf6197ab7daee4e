import type { VmPlan } from "#protocol/host-plan.ts";
import type { LayerKind, LayerShape } from "./port.ts";

const kinds: readonly LayerKind[] = ["root", "home", "swap"];
const alignment = 1024 * 1024;

/** What a machine writes into: nothing of its own when all of it is in memory. */
export function shapesOf(vm: Pick<VmPlan, "base" | "homeBytes" | "swapBytes">): readonly LayerShape[] {
  const sizes = { root: vm.base.disk?.virtualBytes, home: vm.homeBytes, swap: vm.swapBytes };
  return kinds.flatMap((kind) => {
    const size = sizes[kind];
    if (size === undefined) return [];
    // A root is exactly as large as what it lies on; the others are whole MiB.
    const sizeBytes = kind === "root" ? size : Math.ceil(size / alignment) * alignment;
    return [{ kind, sizeBytes }];
  });
}

export function layerFile(kind: LayerKind): string {
  return `${kind}.qcow2`;
}

export const layerFiles: readonly string[] = kinds.map(layerFile);

/** "home-1073741824": the same for equal shapes. */
export function shapeKey({ kind, sizeBytes }: LayerShape): string {
  return `${kind}-${sizeBytes}`;
}

/** Of a file in the spool, "home-1073741824-3f2a.qcow2"; undefined for anything else. */
export function shapeOfFile(name: string): LayerShape | undefined {
  const [, kind, size] = /^(root|home|swap)-(\d{1,15})-[0-9a-f]+\.qcow2$/.exec(name) ?? [];
  return kind === undefined || size === undefined
    ? undefined
    : { kind: kind as LayerKind, sizeBytes: Number(size) };
}
