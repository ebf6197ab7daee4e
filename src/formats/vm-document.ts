import { bytesRateText, bytesText, durationText } from "#formats/units.ts";
import { memoryUnlessTold, vcpusUnlessTold } from "#formats/vm-build.ts";
import { vmDefaults } from "#formats/vm-defaults.ts";
import type { ApplianceDocument } from "#formats/ensemble-schema.ts";
import type { VmDocument } from "#formats/vm-schema.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { CheckpointPolicy, DiskLimits, VmSpec } from "#model/vm.ts";

/** Of a vm what its file says; what equals a default is left out. */
export function vmDocument(spec: ApplianceSpec): Pick<ApplianceDocument, "image" | "memory" | "vm"> {
  const { image, memoryBytes, vm } = spec;
  const usualMemory = memoryBytes === memoryUnlessTold(image ?? vmDefaults.image);
  const own = vm === undefined ? {} : ownDocument(vm, spec);
  return {
    ...(image === undefined || image === vmDefaults.image ? {} : { image }),
    ...(memoryBytes === undefined || usualMemory ? {} : { memory: bytesText(memoryBytes) }),
    ...(Object.keys(own).length === 0 ? {} : { vm: own }),
  };
}

function ownDocument(vm: VmSpec, spec: ApplianceSpec): VmDocument {
  const { vcpus, vcpusMax, memoryBytesMax, homeBytes, swapBytes, disk, checkpoint } = vm;
  return {
    ...(vm.machine === vmDefaults.machine ? {} : { machine: vm.machine }),
    ...(vm.accel === vmDefaults.accel ? {} : { accel: vm.accel }),
    ...(vcpus === vcpusUnlessTold(spec.cpu) ? {} : { vcpus }),
    ...(vcpusMax === vcpus ? {} : { vcpusMax }),
    ...(memoryBytesMax === spec.memoryBytes ? {} : { memoryMax: bytesText(memoryBytesMax) }),
    ...(vm.software.length === 0 ? {} : { software: [...vm.software] }),
    ...(homeBytes === undefined ? {} : { home: bytesText(homeBytes) }),
    ...(swapBytes === undefined ? {} : { swap: bytesText(swapBytes) }),
    ...(vm.sshKeys.length === 0 ? {} : { sshKeys: [...vm.sshKeys] }),
    ...(vm.start === vmDefaults.start ? {} : { start: vm.start }),
    ...(disk === undefined ? {} : { disk: diskDocument(disk) }),
    ...(checkpoint === undefined ? {} : { checkpoint: checkpointDocument(checkpoint) }),
  };
}

export function diskDocument(disk: DiskLimits): NonNullable<VmDocument["disk"]> {
  const { readBytesPerSecond, writeBytesPerSecond, readsPerSecond, writesPerSecond } = disk;
  return {
    ...(readBytesPerSecond === undefined ? {} : { read: bytesRateText(readBytesPerSecond) }),
    ...(writeBytesPerSecond === undefined ? {} : { write: bytesRateText(writeBytesPerSecond) }),
    ...(readsPerSecond === undefined ? {} : { reads: readsPerSecond }),
    ...(writesPerSecond === undefined ? {} : { writes: writesPerSecond }),
  };
}

function checkpointDocument(policy: CheckpointPolicy): NonNullable<VmDocument["checkpoint"]> {
  const { copies, store, credentials, keep } = policy;
  const every = durationText(policy.everyMs);
  const rest = {
    ...(copies === vmDefaults.checkpointCopies ? {} : { copies }),
    ...(store === undefined ? {} : { store }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(keep === vmDefaults.checkpointsKept ? {} : { keep }),
  };
  return Object.keys(rest).length === 0 ? every : { every, ...rest };
}
