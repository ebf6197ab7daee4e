import type { ApplianceId } from "#base/ids.ts";
import { appliancesOf, replicaNames } from "#model/appliances.ts";
import type { ApplianceKind, ApplianceSpec, Ensemble, PlacementRule } from "#model/ensemble.ts";
import type { HostSpec } from "#model/topology.ts";
import type { MappingProblem } from "#planner/mapping.ts";

/** Guaranteed CPU in thousandths of a core; 0 when nothing was asked for. */
export function cpuDemandMilli(spec: Pick<ApplianceSpec, "cpu">): number {
  if (spec.cpu === undefined) return 0;
  if (spec.cpu.kind === "share") return spec.cpu.shareMilli;
  return Math.ceil((spec.cpu.executionUs * 1000) / spec.cpu.periodUs);
}

/** What balance goes by: demand, or this for an appliance that asked for nothing. */
const nominalCpuMilli = 100;

export const nominalDemandMilli = (spec: ApplianceSpec): number => cpuDemandMilli(spec) || nominalCpuMilli;

/** May the appliance be on this host at all: driver, health, hosts, sites, labels. */
export function hostAllows(problem: MappingProblem, host: HostSpec, spec: ApplianceSpec): boolean {
  const { hosts, sites, labels } = spec.placement;
  return (
    hasDriver(problem, host, spec.kind) &&
    problem.unusableHosts?.has(host.id) !== true &&
    (hosts === undefined || hosts.includes(host.id)) &&
    (sites === undefined || sites.includes(host.site)) &&
    Object.entries(labels).every(([name, value]) => host.labels[name] === value)
  );
}

export function hasDriver(problem: MappingProblem, host: HostSpec, kind: ApplianceKind): boolean {
  return problem.capabilities?.get(host.id)?.includes(kind) ?? kind === "task";
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
