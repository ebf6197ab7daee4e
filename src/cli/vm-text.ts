import { size } from "#cli/quantities.ts";
import type { ApplianceStatus } from "#protocol/http/status.ts";
import type { VmStatus } from "#protocol/http/vm-status.ts";

/** "q35 tcg" of a virtual machine, "auto" while its host has yet to choose both; "-" of what is none. */
export const machineText = (vm: VmStatus | undefined): string =>
  vm === undefined ? "-" : vm.machine === vm.accel ? vm.machine : `${vm.machine} ${vm.accel}`;

type Fact = readonly [string, string | undefined];

/** All there is to say of a virtual machine beyond what every appliance has. */
export function vmFacts(vm: VmStatus | undefined): readonly Fact[] {
  if (vm === undefined) return [];
  const { image, software, vcpus, vcpusMax, memoryBytes, memoryBytesMax, start, agent, stages } = vm;
  const took = stages?.map(({ stage, tookMs }) => `${stage} ${Math.round(tookMs)} ms`).join(", ");
  return [
    ["image", image],
    ["software", software?.join(", ")],
    ["machine", machineText(vm)],
    ["processors", vcpusMax > vcpus ? `${vcpus}, at most ${vcpusMax}` : String(vcpus)],
    [
      "guest memory",
      memoryBytes === undefined ? undefined : `${size(memoryBytes)}, at most ${size(memoryBytesMax)}`,
    ],
    ["began", start],
    ["agent", agent],
    ["stages", took === "" ? undefined : took],
  ];
}

/** What it does, as told by itself and counted at its disks. */
export function guestFacts(guest: ApplianceStatus["guest"]): readonly Fact[] {
  if (guest === undefined) return [];
  const { memoryTotalBytes: total, memoryAvailableBytes: available, readBytes, writtenBytes } = guest;
  const memory =
    total === undefined || available === undefined
      ? undefined
      : `${size(total)} of memory, ${size(available)} available`;
  return [
    ["guest has", memory],
    ["guest's disks", `${size(readBytes)} read, ${size(writtenBytes)} written`],
  ];
}
