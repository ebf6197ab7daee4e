import { digest } from "#base/digest.ts";
import { applianceId, applianceName, networkId } from "#base/ids.ts";
import { parseNetwork } from "#base/ipv4.ts";
import type { RestoreRecord } from "#cluster/checkpoints.ts";
import { isStillLeaving } from "#cluster/leaving.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { lastingPart, vmPlan } from "#cluster/vm-plans.ts";
import type { Appliance } from "#model/appliances.ts";
import type { TeamSpec } from "#model/ensemble.ts";
import { priorityOf } from "#model/service-classes.ts";
import type { AppliancePlan, MonitorPlan, MovePlan, TrafficPlan, VmPlan } from "#protocol/host-plan.ts";

/** What an appliance must be restarted for; cpu and memory only as far as having a limit at all, teams as far as their programs. */
function generationOf(plan: Omit<AppliancePlan, "generation" | "held">): string {
  const { cpu, memoryBytes, teams, vm, ...others } = plan;
  const {
    restart: _restart,
    stopGraceMs: _stopGraceMs,
    leased: _leased,
    enforcement: _enforcement,
    suspended: _suspended,
    ...rest
  } = others;
  const programs = teams === undefined ? {} : { programs: programsOf(teams) };
  const machine = vm === undefined ? {} : { vm: lastingPart(vm) };
  return digest({
    ...rest,
    ...programs,
    ...machine,
    limited: [cpu !== undefined, memoryBytes !== undefined],
  });
}

/** Teams without what may change while they run. */
function programsOf(teams: readonly TeamSpec[]): unknown[] {
  return teams.map(({ name, jobs, teams: inner }) => ({ name, jobs, teams: programsOf(inner) }));
}

/**
 * Desired state of one appliance; nothing while the images of a machine are not known. `move`: the side that the host
 * it is for has in a move of it.
 */
export function appliancePlans(
  appliance: Appliance,
  record: EnsembleRecord,
  move?: MovePlan,
): AppliancePlan[] {
  const vm = vmPlan(appliance, record);
  if (appliance.spec.kind !== "vm") return [appliancePlan(appliance, undefined, record)];
  if (vm === undefined) return [];
  if (move === undefined) return [appliancePlan(appliance, vm, record)];
  // It is to be on both sides now.
  const { held: _held, ...plan } = appliancePlan(appliance, { ...vm, move }, record);
  return [plan];
}

function appliancePlan(
  { id, spec }: Appliance,
  vm: VmPlan | undefined,
  record: EnsembleRecord,
): AppliancePlan {
  const plan: { -readonly [Key in keyof Omit<AppliancePlan, "generation" | "held">]: AppliancePlan[Key] } = {
    id,
    kind: spec.kind,
    command: spec.command,
    env: spec.env,
    files: spec.files,
    restart: spec.restart,
    stopGraceMs: spec.stopGraceMs,
    interfaces: (record.interfaces[id] ?? []).map((one, index) => ({
      name: `eth${index}`,
      network: networkId(record.ensemble.name, one.network),
      mac: one.mac,
      address: one.address,
      prefixLength: parseNetwork(record.networks[one.network]?.subnet ?? "0.0.0.0/24").prefixLength,
    })),
    ...(vm === undefined ? {} : { vm }),
    ...(vm !== undefined || spec.image === undefined ? {} : { image: spec.image }),
    ...(spec.directory === undefined ? {} : { directory: spec.directory }),
    ...(spec.cpu === undefined ? {} : { cpu: spec.cpu }),
    ...(spec.enforcement === undefined ? {} : { enforcement: spec.enforcement }),
    ...(spec.teams === undefined ? {} : { teams: spec.teams }),
    ...(spec.suspended === undefined ? {} : { suspended: spec.suspended }),
    ...(spec.memoryBytes === undefined ? {} : { memoryBytes: spec.memoryBytes }),
  };
  const lasting = generationOf(plan);
  const restore = record.restores?.[id];
  // Whoever restores it once more wants it made anew.
  const generation = restore === undefined || restore.again === 0 ? lasting : `${lasting}+${restore.again}`;
  if (vm !== undefined && restore !== undefined && isOf(restore, lasting)) {
    const { again: _again, refused: _refused, ...from } = restore;
    const credentials = vm.checkpoint?.credentials;
    const copies = { ...from.copies, ...(credentials === undefined ? {} : { credentials }) };
    plan.vm = { ...vm, restore: { ...from, copies } };
  }
  if (spec.onHostLoss === "elsewhere") plan.leased = true;
  return isStillLeaving(record, id) ? { ...plan, generation, held: true } : { ...plan, generation };
}

/** A checkpoint of what was declared differently is none of this machine. */
const isOf = ({ checkpoints: [newest] }: RestoreRecord, lasting: string): boolean =>
  newest?.generation.split("+")[0] === lasting;

/** What all its traffic is promised; one without networks has none. */
export function trafficPlan({ id, spec }: Appliance, record: EnsembleRecord): TrafficPlan[] {
  const { traffic } = spec;
  const macs = (record.interfaces[id] ?? []).map(({ mac }) => mac);
  if (traffic === undefined || macs.length === 0) return [];
  const { serviceClass, ...rates } = traffic;
  return [{ appliance: id, macs, ...rates, priority: priorityOf(serviceClass, record.ensemble) }];
}

export function monitorPlans({ ensemble }: EnsembleRecord): MonitorPlan[] {
  return (ensemble.monitors ?? []).map(({ name, appliance, everyMs, source }) => ({
    ensemble: ensemble.name,
    name,
    appliance: applianceId(ensemble.name, applianceName(appliance)),
    everyMs,
    source,
  }));
}
