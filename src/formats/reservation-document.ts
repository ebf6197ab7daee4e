import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import type { ApplianceDocument, EnsembleDocument } from "#formats/ensemble-schema.ts";
import type {
  ActionDocument,
  AdjustmentDocument,
  MonitorDocument,
  StrategyDocument,
  TeamDocument,
  TrafficDocument,
} from "#formats/reservation-schema.ts";
import { actionText, conditionText, thresholdText } from "#formats/strategy-text.ts";
import { bandwidthText, bytesText, cpuShareText, durationText, durationUsText } from "#formats/units.ts";
import { diskDocument } from "#formats/vm-document.ts";
import type {
  Adjustment,
  CpuRequest,
  Ensemble,
  MonitorSpec,
  StrategyAction,
  StrategySpec,
  TeamSpec,
  TrafficSpec,
} from "#model/ensemble.ts";

/** Classes, monitors, strategies and adjustments in the file's own vocabulary. */
export function adaptationDocument(
  ensemble: Ensemble,
): Pick<EnsembleDocument, "classes" | "monitors" | "strategies" | "adjustments"> {
  const { serviceClasses, monitors, strategies, adjustments } = ensemble;
  return {
    ...(serviceClasses === undefined
      ? {}
      : { classes: Object.fromEntries(serviceClasses.map((one) => [one.name, one.priority])) }),
    ...(monitors === undefined
      ? {}
      : { monitors: Object.fromEntries(monitors.map((one) => [one.name, monitorDocument(one)])) }),
    ...(strategies === undefined
      ? {}
      : { strategies: Object.fromEntries(strategies.map((one) => [one.name, strategyDocument(one)])) }),
    ...(adjustments === undefined
      ? {}
      : {
          adjustments: Object.fromEntries(adjustments.map((one) => [one.appliance, adjustmentDocument(one)])),
        }),
  };
}

export function cpuDocument(cpu: CpuRequest): NonNullable<ApplianceDocument["cpu"]> {
  if (cpu.kind === "reservation") {
    return `${durationUsText(cpu.executionUs)}/${durationUsText(cpu.periodUs)}`;
  }
  const share = cpuShareText(cpu.shareMilli);
  return cpu.limitMilli === cpu.shareMilli ? share : { share, limit: cpuShareText(cpu.limitMilli) };
}

export function teamsDocument(teams: readonly TeamSpec[]): Record<string, TeamDocument> {
  return Object.fromEntries(teams.map((team) => [team.name, teamDocument(team)]));
}

function teamDocument({ cpu, policy, jobs, teams }: TeamSpec): TeamDocument {
  const [only, second] = jobs;
  return {
    ...(cpu === undefined ? {} : { cpu: cpuDocument(cpu) }),
    ...(policy === ensembleDefaults.teamPolicy ? {} : { policy }),
    ...(only !== undefined && second === undefined ? { command: [...only] } : {}),
    ...(second === undefined ? {} : { commands: jobs.map((job) => [...job]) }),
    ...(teams.length === 0 ? {} : { teams: teamsDocument(teams) }),
  };
}

export function trafficDocument(traffic: TrafficSpec): TrafficDocument {
  const { serviceClass, outBps, inBps, outCeilingBps, inCeilingBps } = traffic;
  return {
    ...(serviceClass === ensembleDefaults.serviceClass ? {} : { class: serviceClass }),
    ...(outBps === undefined ? {} : { out: bandwidthText(outBps) }),
    ...(inBps === undefined ? {} : { in: bandwidthText(inBps) }),
    ...(outCeilingBps === undefined ? {} : { outCeiling: bandwidthText(outCeilingBps) }),
    ...(inCeilingBps === undefined ? {} : { inCeiling: bandwidthText(inCeilingBps) }),
  };
}

function monitorDocument({ appliance, everyMs, source }: MonitorSpec): MonitorDocument {
  return {
    appliance,
    ...(everyMs === ensembleDefaults.monitorEveryMs ? {} : { every: durationText(everyMs) }),
    ...(source.kind === "rtp" ? { rtp: source.port } : {}),
    ...(source.kind === "scheduling" ? { scheduling: true } : {}),
    ...(source.kind === "script" ? { script: [...source.command] } : {}),
    ...(source.kind === "http" ? { http: source.url } : {}),
    ...("metrics" in source ? { metrics: { ...source.metrics } } : {}),
  };
}

function strategyDocument({ when, forMs, actions, cooldownMs, rearm }: StrategySpec): StrategyDocument {
  const written = actions.map(actionDocument);
  const [only] = written;
  return {
    when: conditionText(when, forMs),
    // oxlint-disable-next-line unicorn/no-thenable -- the word of the file; no document is ever awaited
    then: only !== undefined && written.length === 1 ? only : written,
    ...(cooldownMs === ensembleDefaults.cooldownMs ? {} : { cooldown: durationText(cooldownMs) }),
    ...(rearm === undefined ? {} : { rearm: thresholdText(when.metric, rearm) }),
  };
}

function actionDocument(action: StrategyAction): ActionDocument {
  if (action.kind !== "run") return actionText(action);
  return { run: { in: action.appliance, command: [...action.command] } };
}

function adjustmentDocument(adjustment: Adjustment): AdjustmentDocument {
  const { cpu, memoryBytes, vcpus, disk, traffic, suspended, teams } = adjustment;
  return {
    ...(cpu === undefined ? {} : { cpu: cpuDocument(cpu) }),
    ...(memoryBytes === undefined ? {} : { memory: bytesText(memoryBytes) }),
    ...(vcpus === undefined ? {} : { vcpus }),
    ...(disk === undefined ? {} : { disk: diskDocument(disk) }),
    ...(traffic === undefined ? {} : { traffic: trafficDocument(traffic) }),
    ...(suspended === undefined ? {} : { suspended }),
    ...(teams === undefined
      ? {}
      : { teams: Object.fromEntries(teams.map((team) => [team.path, cpuDocument(team.cpu)])) }),
  };
}
