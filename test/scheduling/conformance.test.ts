import { enforcerConformance } from "#drivers/scheduling/conformance.ts";
import type { EnforcerSubject } from "#drivers/scheduling/conformance.ts";
import { BandwidthEnforcer } from "#drivers/scheduling/bandwidth/enforcer.ts";
import { DeadlineEnforcer } from "#drivers/scheduling/deadline/enforcer.ts";
import type { CpuEnforcer } from "#drivers/scheduling/port.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { GroupWeights } from "#drivers/scheduling/weights.ts";
import { BusyMachines, anyProcessor, layout, log, settled } from "./rig.ts";

type Open = (machines: BusyMachines) => CpuEnforcer;

/** `outlives`: what was held by one owner is still held when the next one comes. */
async function subject(open: Open, { asProcesses = false, outlives = true } = {}): Promise<EnforcerSubject> {
  const machines = new BusyMachines({ asProcesses });
  const enforcer = open(machines);
  return {
    enforcer,
    job: (machine) => machines.job(machine),
    cgroup: (machine) => machines.cgroup(machine),
    settled: () => settled(enforcer),
    share: (machine) => machines.share(machine),
    isFree: async (machine) => machines.isFree(machine),
    successor: () => (outlives ? open(machines) : undefined),
    close: async () => {
      await enforcer.close();
      await machines[Symbol.asyncDispose]();
    },
  };
}

const weights = (machines: BusyMachines): GroupWeights => new GroupWeights(layout, machines.mark);
const tableOn =
  (processors: readonly number[] | undefined): Open =>
  (machines) =>
    new TableEnforcer({
      directory: machines.directory,
      layout,
      weights: weights(machines),
      endsWithOwner: false,
      ...(processors === undefined ? {} : { processors }),
      log,
    });
const table = tableOn(undefined);
const bandwidth: Open = (machines) =>
  new BandwidthEnforcer({ layout, weights: weights(machines), processors: 2 });
const deadline: Open = () => new DeadlineEnforcer({ layout });

enforcerConformance("dispatch table, groups", () => subject(table));
enforcerConformance("dispatch table, groups on their processor", () => subject(tableOn([anyProcessor])));
enforcerConformance("dispatch table, processes", () => subject(table, { asProcesses: true }));
enforcerConformance("bandwidth", () => subject(bandwidth));
enforcerConformance("deadline", () => subject(deadline, { outlives: false }));
