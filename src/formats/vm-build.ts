import { bytes, millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import { vmDefaults } from "#formats/vm-defaults.ts";
import { durationOf, given, read } from "#formats/quantities.ts";
import { parseBytes, parseBytesRate } from "#formats/units.ts";
import type { VmDocument } from "#formats/vm-schema.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { CheckpointPolicy, DiskLimits, VmSpec } from "#model/vm.ts";

/** A vm as it is declared; what is left out depends on nothing but the file. */
export function vmOf(
  document: VmDocument,
  { cpu, memoryBytes }: { readonly cpu: CpuRequest | undefined; readonly memoryBytes: Bytes },
): VmSpec {
  const { vcpus = vcpusUnlessTold(cpu), vcpusMax = vcpus, memoryMax, disk, checkpoint } = document;
  return {
    machine: document.machine ?? vmDefaults.machine,
    accel: document.accel ?? vmDefaults.accel,
    vcpus,
    vcpusMax,
    memoryBytesMax: sizeOf(memoryMax) ?? memoryBytes,
    software: document.software ?? [],
    ...given("homeBytes", sizeOf(document.home)),
    ...given("swapBytes", sizeOf(document.swap)),
    sshKeys: document.sshKeys ?? [],
    start: document.start ?? vmDefaults.start,
    ...given("disk", disk === undefined ? undefined : diskOf(disk)),
    ...given("checkpoint", checkpoint === undefined ? undefined : checkpointOf(checkpoint)),
  };
}

/** As many processors as it may use at once. */
export function vcpusUnlessTold(cpu: CpuRequest | undefined): number {
  if (cpu === undefined) return 1;
  const milli = cpu.kind === "share" ? cpu.limitMilli : (cpu.executionUs * 1000) / cpu.periodUs;
  return Math.max(1, Math.ceil(milli / 1000));
}

/** What a vm of this image has unless told: the tiny guest lives in memory, others boot a whole system. */
export const memoryUnlessTold = (image: string): Bytes =>
  bytes(image === vmDefaults.image ? vmDefaults.tinyMemoryBytes : vmDefaults.memoryBytes);

export function diskOf(disk: NonNullable<VmDocument["disk"]>): DiskLimits {
  const rate = (text: string | number | undefined): Bytes | undefined =>
    text === undefined ? undefined : read(parseBytesRate, text);
  return {
    ...given("readBytesPerSecond", rate(disk.read)),
    ...given("writeBytesPerSecond", rate(disk.write)),
    ...given("readsPerSecond", disk.reads),
    ...given("writesPerSecond", disk.writes),
  };
}

function checkpointOf(checkpoint: NonNullable<VmDocument["checkpoint"]>): CheckpointPolicy {
  const policy = typeof checkpoint === "object" ? checkpoint : { every: checkpoint };
  const { every, copies, store, credentials, keep } = policy;
  return {
    everyMs: durationOf(every) ?? millis(0),
    copies: copies ?? vmDefaults.checkpointCopies,
    ...given("store", store),
    ...given("credentials", credentials),
    keep: keep ?? vmDefaults.checkpointsKept,
  };
}

const sizeOf = (text: string | number | undefined): Bytes | undefined =>
  text === undefined ? undefined : read(parseBytes, text);
