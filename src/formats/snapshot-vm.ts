import * as z from "zod";
import type { Digest } from "#model/image.ts";
import * as leaf from "#formats/snapshot-leaves.ts";
import { vmAccels, vmMachines, vmStarts } from "#formats/vm-schema.ts";

export const diskLimitsSchema = leaf.shape({
  readBytesPerSecond: z.exactOptional(leaf.bytes),
  writeBytesPerSecond: z.exactOptional(leaf.bytes),
  readsPerSecond: leaf.whole.exactOptional(),
  writesPerSecond: leaf.whole.exactOptional(),
});

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
  disk: diskLimitsSchema.exactOptional(),
  checkpoint: leaf
    .shape({
      everyMs: leaf.millis,
      copies: leaf.whole,
      store: leaf.text.exactOptional(),
      credentials: leaf.text.exactOptional(),
      keep: leaf.whole,
    })
    .exactOptional(),
});

const blob = { digest: leaf.idOf<Digest>("a digest such as sha256:…"), sizeBytes: leaf.bytes };

/** An image as it was when machines were made from it. */
export const imageModelSchema = leaf.shape({
  name: leaf.text,
  role: z.enum(["base", "software", "root"]),
  architecture: leaf.text,
  disk: leaf.shape({ ...blob, format: z.enum(["raw", "qcow2"]), virtualBytes: leaf.bytes }).exactOptional(),
  boot: z
    .discriminatedUnion(
      "kind",
      [
        leaf.shape({ kind: z.literal("disk"), firmware: z.enum(["bios", "uefi"]) }),
        leaf.shape({
          kind: z.literal("kernel"),
          kernel: leaf.shape(blob),
          initrd: leaf.shape(blob).exactOptional(),
          commandLine: leaf.text,
        }),
      ],
      { error: "a boot of kind disk or kernel" },
    )
    .exactOptional(),
  features: leaf.listOf(z.enum(["agent", "context", "seed"])),
  origin: leaf.text.exactOptional(),
  registeredAtMs: leaf.amount,
});
