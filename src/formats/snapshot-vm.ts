import * as z from "zod";
import * as leaf from "#formats/snapshot-leaves.ts";
import { vmAccels, vmMachines, vmStarts } from "#formats/vm-schema.ts";

/** A virtual machine as a snapshot holds it. */
export const vmModelSchema = leaf.shape({
  machine: z.enum(vmMachines),
  accel: z.enum(vmAccels),
  vcpus: leaf.whole,
  vcpusMax: leaf.whole,
  memoryBytesMax: leaf.bytes,
  software: leaf.listOf(leaf.text),
  homeBytes: z.exactOptional(leaf.bytes),
  swapBytes: z.exactOptional(leaf.bytes),
  sshKeys: leaf.listOf(leaf.text),
  start: z.enum(vmStarts),
  disk: leaf
    .shape({
      readBytesPerSecond: z.exactOptional(leaf.bytes),
      writeBytesPerSecond: z.exactOptional(leaf.bytes),
      readsPerSecond: leaf.whole.exactOptional(),
      writesPerSecond: leaf.whole.exactOptional(),
    })
    .exactOptional(),
  checkpoint: leaf
    .shape({
      everyMs: leaf.millis,
      copies: leaf.whole,
      store: leaf.text.exactOptional(),
      keep: leaf.whole,
    })
    .exactOptional(),
});
