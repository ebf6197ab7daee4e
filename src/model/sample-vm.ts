import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { bytes, mebibytes, millis } from "#base/units.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { BlobRef, Image } from "#model/image.ts";
import { sampleAppliance } from "#model/sample.ts";
import type { VmSpec } from "#model/vm.ts";

/** Virtual machines and images for tests and the simulator, which boot nothing. */
export function sampleVm(
  name: string,
  vm: Partial<VmSpec> = {},
  fields: Partial<ApplianceSpec> = {},
): ApplianceSpec {
  const vcpus = vm.vcpus ?? 1;
  const own: VmSpec = {
    machine: "auto",
    accel: "auto",
    vcpus,
    vcpusMax: vcpus,
    memoryBytesMax: mebibytes(128),
    software: [],
    sshKeys: [],
    start: "auto",
    ...vm,
  };
  return {
    ...sampleAppliance(name),
    kind: "vm",
    image: "tiny",
    memoryBytes: mebibytes(128),
    command: [],
    vm: own,
    ...fields,
  };
}

export function sampleImage(name: string, fields: Partial<Image> = {}): Image {
  return {
    name,
    role: "base",
    architecture: "x86_64",
    disk: { ...blob(`${name} disk`), format: "qcow2", virtualBytes: mebibytes(512) },
    boot: { kind: "kernel", kernel: blob(`${name} kernel`), commandLine: "quiet" },
    features: ["agent", "context"],
    registeredAtMs: 0,
    ...fields,
  };
}

/** Of the memory of `db` in `shop` alone; a full one unless `after` says what it adds to. */
export function sampleCheckpoint(id: string, fields: Partial<Checkpoint> = {}): Checkpoint {
  return {
    id,
    appliance: applianceId(ensembleName("shop"), applianceName("db")),
    generation: "g",
    takenAtMs: millis(0),
    disks: [],
    memory: { digest: `sha256:${id}`, sizeBytes: bytes(1), compression: "none", contentBytes: bytes(1) },
    machine: "m",
    pauseMs: millis(1),
    ...fields,
  };
}

/** Another one for every text; of no content. */
function blob(text: string): BlobRef {
  const hexadecimal = Array.from(text, (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join(
    "",
  );
  return { digest: `sha256:${hexadecimal.padEnd(64, "0").slice(0, 64)}`, sizeBytes: bytes(text.length) };
}
