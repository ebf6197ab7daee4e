import { micros, milliCpu } from "#base/units.ts";
import type { Topology } from "#model/topology.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";
import { labCgroup, managersCgroup, nodeCgroup } from "#lab/names.ts";

/**
 * A host that has used its part up stands still for the rest of the period, reserved machines included: it should be
 * short. But who runs is decided by ticks of 1 to 10 ms: of a host of a few tenths of a processor a period has to hold
 * several, or its appliances are not served in proportion to their shares.
 */
const periodUs = micros(50_000);
/**
 * As much as the kernel allows, and no less than reserved machines weigh: managers use next to nothing, and what depends
 * on their leases stands still when they are kept from their work.
 */
const managersShare = milliCpu(256_000);
const attemptsMax = 5;

/** Each host's CPU and memory as limits of its control group, so that capacity is real on one small machine. */
export function makeBudgets(lab: string, topology: Topology, cgroups: Cgroups): void {
  create(managersCgroup(lab), cgroups);
  const managers = cgroups.open(managersCgroup(lab));
  managers.setWeight(managersShare);
  managers.close();
  for (const host of topology.hosts) {
    const path = nodeCgroup(lab, host.id);
    create(path, cgroups);
    const group = cgroups.open(path);
    group.setCpu({ quotaUs: micros((host.cpuMilli * periodUs) / 1000), periodUs });
    group.setMemory(host.memoryBytes);
    group.close();
  }
  for (const device of topology.devices) {
    if (device.kind === "gateway") create(nodeCgroup(lab, device.id), cgroups);
  }
}

/** Another lab's removal may take the empty "consort" group away between the making of it and of ours. */
function create(path: string, cgroups: Cgroups): void {
  for (let attempt = 1; ; attempt += 1) {
    try {
      cgroups.open(path).create();
      return;
    } catch (error) {
      if (attempt === attemptsMax) throw error;
    }
  }
}

export async function removeBudgets(lab: string, cgroups: Cgroups, signal: AbortSignal): Promise<void> {
  await cgroups.open(labCgroup(lab)).remove(signal);
  // Unless another lab is in it.
  cgroups.open("consort").removeOrLower();
}
