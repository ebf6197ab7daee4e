import { imageContent } from "#cluster/image-names.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { Appliance } from "#model/appliances.ts";
import type { VmPlan } from "#protocol/host-plan.ts";

/** The virtual machine of an appliance; undefined for one that is none, or whose images are not known. */
export function vmPlan(
  { id, name, spec }: Appliance,
  { images = {}, identities }: EnsembleRecord,
): VmPlan | undefined {
  const { image, vm } = spec;
  const base = image === undefined ? undefined : images[image];
  if (vm === undefined || base === undefined) return undefined;
  const software = vm.software.flatMap((one) => images[one] ?? []);
  if (software.length < vm.software.length) return undefined;
  const identity = identities?.[id];
  return { ...vm, base, software, hostname: name, ...(identity === undefined ? {} : { identity }) };
}

/**
 * What a machine must be started anew for. Not what changes while it runs: its processors and its memory (within their
 * greatest numbers, which are part of it), limits of its disks, when checkpoints are taken. Nor what only tells how it
 * begins: warm or cold, from a checkpoint, or from another host, and who it is. Keys and files are laid into it when it is made, so
 * other ones need a new start.
 */
export function lastingPart(vm: VmPlan): unknown {
  const {
    vcpus: _vcpus,
    disk: _disk,
    checkpoint: _checkpoint,
    start: _start,
    restore: _restore,
    move: _move,
    identity: _identity,
    ...rest
  } = vm;
  return { ...rest, base: imageContent(vm.base), software: vm.software.map(softwareContent) };
}

/** Its name is where it is found inside the machine. */
const softwareContent = (image: VmPlan["software"][number]): unknown => ({
  name: image.name,
  content: imageContent(image),
});
