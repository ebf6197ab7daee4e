import type { ApplianceId, HostId } from "#base/ids.ts";
import { bytes } from "#base/units.ts";
import { appliancesOf, replicaNames } from "#model/appliances.ts";
import type { ApplianceSpec, Ensemble, PlacementRule } from "#model/ensemble.ts";
import type { VmSpec } from "#model/vm.ts";
import { hostMemoryOf } from "#model/vm-memory.ts";
import type { HostSpec, Topology } from "#model/topology.ts";
import type { HostAbility, MappingProblem } from "#planner/mapping.ts";

/** Guaranteed CPU in thousandths of a core; 0 when nothing was asked for. */
export function cpuDemandMilli(spec: Pick<ApplianceSpec, "cpu">): number {
  if (spec.cpu === undefined) return 0;
  if (spec.cpu.kind === "share") return spec.cpu.shareMilli;
  return Math.ceil((spec.cpu.executionUs * 1000) / spec.cpu.periodUs);
}

/** What it takes of its host's memory at most, in bytes; 0 when nothing was asked for. */
export function memoryDemandBytes({
  memoryBytes = 0,
  vm,
}: {
  readonly memoryBytes?: number | undefined;
  readonly vm?: Pick<VmSpec, "vcpusMax"> | undefined;
}): number {
  if (vm === undefined) return memoryBytes;
  return hostMemoryOf({ memoryBytes: bytes(memoryBytes), vcpusMax: vm.vcpusMax });
}

/** What balance goes by: demand, or this for an appliance that asked for nothing. */
const nominalCpuMilli = 100;

export const nominalDemandMilli = (spec: ApplianceSpec): number => cpuDemandMilli(spec) || nominalCpuMilli;

/** May the appliance be on this host at all: driver, health, hosts, sites, labels. */
export function hostAllows(problem: MappingProblem, host: HostSpec, spec: ApplianceSpec): boolean {
  const { hosts, sites, labels } = spec.placement;
  return (
    hasDriver(problem, host, spec) &&
    problem.unusableHosts?.has(host.id) !== true &&
    (hosts === undefined || hosts.includes(host.id)) &&
    (sites === undefined || sites.includes(host.site)) &&
    Object.entries(labels).every(([name, value]) => host.labels[name] === value)
  );
}

/** What an appliance needs of any host it is on. */
export function abilitiesFor({ kind, vm }: Pick<ApplianceSpec, "kind" | "vm">): readonly HostAbility[] {
  return vm?.accel === "kvm" ? [kind, "kvm"] : [kind];
}

const onlyTasks: readonly HostAbility[] = ["task"];

/** Of hosts that are only described: they run every kind, and nobody has seen a guest in KVM there. */
export const describedAbilities = ({
  hosts,
}: Pick<Topology, "hosts">): ReadonlyMap<HostId, readonly HostAbility[]> =>
  new Map(hosts.map(({ id }) => [id, ["task", "vm"]]));

export function hasDriver(
  problem: Pick<MappingProblem, "capabilities">,
  host: Pick<HostSpec, "id">,
  spec: Pick<ApplianceSpec, "kind" | "vm">,
): boolean {
  const able = problem.capabilities?.get(host.id) ?? onlyTasks;
  return abilitiesFor(spec).every((one) => able.includes(one));
}

/** Appliances a rule covers: a name covers all its replicas. */
export function coveredBy(rule: PlacementRule, ensemble: Ensemble): Set<ApplianceId> {
  const names = new Set(
    ensemble.appliances.filter((spec) => rule.appliances.includes(spec.name)).flatMap(replicaNames),
  );
  return new Set(
    appliancesOf(ensemble)
      .filter((one) => names.has(one.name))
      .map((one) => one.id),
  );
}
