import type { ApplianceSpec } from "#model/ensemble.ts";
import type { VmReport } from "#protocol/host-report.ts";
import type { VmStatus } from "#protocol/http/vm-status.ts";

/** What is asked for of a virtual machine, with what its host tells; undefined for what is none. */
export function vmView({ image, vm }: ApplianceSpec, report: VmReport | undefined): VmStatus | undefined {
  if (vm === undefined) return undefined;
  const { machine, accel, vcpus, vcpusMax, memoryBytesMax, software } = vm;
  const asked = { image: image ?? "", machine, accel, vcpus, vcpusMax, memoryBytesMax };
  const disks = software.length === 0 ? {} : { software: [...software] };
  if (report === undefined) return { ...asked, ...disks };
  return {
    ...asked,
    ...disks,
    machine: report.machine,
    accel: report.accel,
    vcpus: report.vcpus,
    memoryBytes: report.memoryBytes,
    start: report.start,
    agent: report.agent,
    stages: report.stages.map(({ stage, tookMs }) => ({ stage, tookMs })),
  };
}
