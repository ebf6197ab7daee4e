import type { ApplianceId, HostId } from "#base/ids.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { MachineView } from "#sim/cloud.ts";
import { shareCpu } from "#sim/drivers/cpu-share.ts";
import type { CpuClaim } from "#sim/drivers/cpu-share.ts";

/** As the task driver puts it to the kernel: nothing promised weighs a tenth of a core. */
const bestEffortWeight = 100;

/** What one appliance claims of its host's processors: its promise as weight, its limit, and what it would use. */
export function claimOf(spec: ApplianceSpec | undefined, demandMilli: number): CpuClaim {
  const cpu = spec?.cpu;
  if (cpu === undefined)
    return { weight: bestEffortWeight, limitMilli: Number.POSITIVE_INFINITY, demandMilli };
  if (cpu.kind === "share") return { weight: cpu.shareMilli, limitMilli: cpu.limitMilli, demandMilli };
  const milli = (cpu.executionUs * 1000) / cpu.periodUs;
  return { weight: milli, limitMilli: milli, demandMilli };
}

export type CpuGiven = ReadonlyMap<HostId, ReadonlyMap<ApplianceId, number>>;

/** What each appliance that executes is given of its host's processors now, in thousandths of a core. */
export function cpuGiven(
  topology: Topology,
  machines: ReadonlyMap<HostId, MachineView>,
  look: {
    readonly specOf: (id: ApplianceId) => ApplianceSpec | undefined;
    readonly demandMilli: (id: ApplianceId) => number;
  },
): CpuGiven {
  return new Map(
    topology.hosts.map((host) => {
      const machine = machines.get(host.id);
      const here = machine?.powered === true ? [...machine.appliances].filter((one) => one.executes) : [];
      const claims = here.map(({ id }) => claimOf(look.specOf(id), look.demandMilli(id)));
      const shares = shareCpu(host.cpuMilli, claims);
      return [host.id, new Map(here.map(({ id }, index) => [id, shares[index] ?? 0]))];
    }),
  );
}
