import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import { cpuDemandMilli } from "#planner/demand.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { HostCapacity } from "#protocol/host-report.ts";

type Guaranteed = { readonly cpuMilli: number; readonly memoryBytes: number };
export type Room = Pick<HostCapacity, "cpuMilli" | "memoryBytes">;

const guaranteed = (cpu: CpuRequest | undefined, memoryBytes: number | undefined): Guaranteed => ({
  cpuMilli: cpuDemandMilli(cpu === undefined ? {} : { cpu }),
  memoryBytes: memoryBytes ?? 0,
});
const ofPlan = (one: AppliancePlan): Guaranteed => guaranteed(one.cpu, one.memoryBytes);
const ofSeen = (one: ApplianceObservation): Guaranteed => guaranteed(one.cpu, one.memoryLimitBytes);

const movesAway = ({ vm }: AppliancePlan): boolean => vm?.move?.side === "leaving";

/**
 * Which of `wanted` may begin, or grow, now. A plan fits its host, but what it no longer has, or has only until it has
 * moved away, keeps what it was promised until it has stopped here; who would be promised the same meanwhile waits.
 */
export function fitting(
  capacity: Room,
  leaving: readonly ApplianceObservation[],
  staying: readonly ApplianceObservation[],
  wanted: readonly AppliancePlan[],
): ReadonlySet<AppliancePlan> {
  if (leaving.length === 0 && !wanted.some(movesAway)) return new Set(wanted);
  const held = [...leaving, ...staying].map(ofSeen);
  let cpuMilli = held.reduce((sum, one) => sum + one.cpuMilli, 0);
  let memoryBytes = held.reduce((sum, one) => sum + one.memoryBytes, 0);
  const here = new Map(staying.map((one) => [one.id, ofSeen(one)]));
  const fits = new Set<AppliancePlan>();
  for (const one of wanted) {
    const [after, before] = [ofPlan(one), here.get(one.id) ?? { cpuMilli: 0, memoryBytes: 0 }];
    const cpu = cpuMilli + after.cpuMilli - before.cpuMilli;
    const memory = memoryBytes + after.memoryBytes - before.memoryBytes;
    const grows = after.cpuMilli > before.cpuMilli || after.memoryBytes > before.memoryBytes;
    if (grows && (cpu > capacity.cpuMilli || memory > capacity.memoryBytes)) continue;
    [cpuMilli, memoryBytes] = [cpu, memory];
    fits.add(one);
  }
  return fits;
}
