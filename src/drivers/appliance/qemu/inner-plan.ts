import { ConsortError } from "#base/errors.ts";
import { hostMemoryOf } from "#model/vm-memory.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { launchCommand } from "./launch.ts";
import type { MachinePlan } from "./storage.ts";

/** A machine by its plan; other kinds are none. @throws bad_input for a vm that nothing is said about */
export function machinePlan(plan: AppliancePlan): MachinePlan {
  const { vm, memoryBytes } = plan;
  if (vm !== undefined && memoryBytes !== undefined) return { ...plan, vm, memoryBytes };
  throw new ConsortError(
    "bad_input",
    `Cannot create ${plan.id}: nothing is said of its machine or its memory`,
  );
}

/** What a machine is to the slot it runs in: QEMU is its command, all else is inside of that. */
export function slotPlan(plan: MachinePlan): AppliancePlan {
  const { vm, image: _image, directory: _directory, teams: _teams, ...rest } = plan;
  return {
    ...rest,
    command: launchCommand,
    env: {},
    files: [],
    memoryBytes: hostMemoryOf({ memoryBytes: plan.memoryBytes, vcpusMax: vm.vcpusMax }),
  };
}
