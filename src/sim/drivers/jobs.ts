import { FakeJobDriver, fakeSpool } from "#drivers/job/fake.ts";
import type { FakeJobMachine, FakeSpoolDisk, Gate } from "#drivers/job/fake.ts";
import type { JobDriver, JobSpool } from "#drivers/job/port.ts";
import { diskFull, slowed } from "#sim/drivers/disk.ts";
import type { DiskState } from "#sim/drivers/disk.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { SimulationSettings } from "#sim/settings.ts";

/** What one life of a host manager does with the jobs on its machine. */
export function simulatedJobs(
  on: { readonly machine: FakeJobMachine; readonly spool: FakeSpoolDisk; readonly disk: DiskState },
  life: Incarnation,
  { callMs, diskMs }: SimulationSettings,
): { readonly driver: JobDriver; readonly spool: JobSpool } {
  const inside: Gate = (label, effect) => life.call(label, callMs, effect);
  const kept: Gate = async (label, effect) => {
    // Before anything else, and of no effect: no event of its own, so that hosts without jobs go their ways as ever.
    if (label === "spool, load") return effect();
    return life.call(label, slowed(diskMs, on.disk), () => {
      if (on.disk.full) throw diskFull("keep what a job wrote");
      return effect();
    });
  };
  return { driver: new FakeJobDriver(on.machine, inside), spool: fakeSpool(on.spool, kept) };
}
