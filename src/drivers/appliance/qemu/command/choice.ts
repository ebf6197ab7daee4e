import type { AppliancePlan, VmPlan } from "#protocol/host-plan.ts";

/** The machine a plan gets: a microvm boots quickest, but nothing can be plugged into one, and it has no firmware. */
export function machineOf(plan: Pick<AppliancePlan, "memoryBytes">, vm: VmPlan): "microvm" | "q35" {
  if (vm.machine !== "auto") return vm.machine;
  const boots = vm.base.boot?.kind === "kernel";
  const grows = vm.vcpusMax > vm.vcpus || vm.memoryBytesMax > (plan.memoryBytes ?? 0);
  return boots && !grows ? "microvm" : "q35";
}
