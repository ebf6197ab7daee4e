import type { DiskSpec } from "./spec.ts";

/** `-blockdev` and `-device` arguments of one disk; nodes from the lowest layer up, as each names the one below. */
export function diskArguments(disk: DiskSpec, bus: "device" | "pci"): readonly string[] {
  const nodes = disk.layers.map((layer, depth) => {
    const top = depth === 0;
    const node = layerNode(disk, depth);
    const readOnly = !top || disk.readOnly;
    const common = { "read-only": readOnly, discard: "unmap" };
    const below = depth + 1 < disk.layers.length ? { backing: layerNode(disk, depth + 1) } : {};
    // Without it, QEMU would open what the image's own header names.
    const backing = layer.format === "qcow2" ? { backing: null, ...below } : {};
    return [
      { ...layer.source, ...common, "node-name": `${node}-file` },
      { driver: layer.format, ...common, ...backing, file: `${node}-file`, "node-name": node },
    ];
  });
  const device = {
    driver: `virtio-blk-${bus}`,
    id: `disk-${disk.name}`,
    drive: layerNode(disk, 0),
    serial: disk.name,
    // Left to itself it is as many as processors at the start. One that was given more since would have other devices
    // than the one that takes over its memory, which begins with as many as it has by then.
    ...(bus === "pci" ? { "num-queues": 1 } : {}),
  };
  return [
    ...nodes.toReversed().flatMap((pair) => pair.flatMap((node) => ["-blockdev", JSON.stringify(node)])),
    "-device",
    JSON.stringify(device),
  ];
}

/** The top layer bears the disk's own name. */
const layerNode = ({ name, topNode = name }: DiskSpec, depth: number): string =>
  depth === 0 ? topNode : `${name}-below${depth - 1}`;
