import { insideDirectory } from "../command/spec.ts";
import type { DiskSpec, MachineSpec } from "../command/spec.ts";
import { remoteNode, remoteSource } from "./ports.ts";

/** Its writable layers are read from where it was, but those of the disks that are `here` already. */
export function withRemoteDisks(spec: MachineSpec, here: ReadonlySet<string> = new Set()): MachineSpec {
  const disks = spec.disks.map((disk) => (disk.readOnly || here.has(disk.name) ? disk : remote(disk)));
  return { ...spec, disks };
}

function remote(disk: DiskSpec): DiskSpec {
  const [top, ...below] = disk.layers;
  const source = remoteSource(insideDirectory, disk.name);
  return { ...disk, topNode: remoteNode(disk.name), layers: [{ ...top, source }, ...below] };
}
