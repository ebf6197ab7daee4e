import { limits } from "#base/limits.ts";
import { bitsPerSecond, formatDuration } from "#base/units.ts";
import { areSideBySide, isTeam, placeOf } from "#control/adaptation/team-moves.ts";
import { formatLimits } from "#formats/limits.ts";
import { moveFindings } from "#formats/move-checks.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { unknownName } from "#formats/suggestion.ts";
import { bandwidthText } from "#formats/units.ts";
import { teamsByPath } from "#model/adjustments.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Appliance } from "#model/appliances.ts";
import type {
  ApplianceSpec,
  CpuRequest,
  Ensemble,
  StrategyAction,
  StrategySpec,
  TrafficSpec,
} from "#model/ensemble.ts";
import { bestEffort, gold, serviceClassesOf } from "#model/service-classes.ts";
import { reservationFindings } from "#formats/reservation-checks.ts";
import { adjustedMachineFindings } from "#formats/vm-checks.ts";

type Known = ReadonlyMap<string, Appliance>;

/** What classes, reservations, monitors, strategies and adjustments must be to the rest; empty when it makes sense. */
export function adaptationFindings(ensemble: Ensemble): Finding[] {
  const known: Known = new Map(
    appliancesOf(ensemble).map((appliance) => [appliance.name as string, appliance]),
  );
  return [
    ...sizeFindings(ensemble),
    ...classFindings(ensemble),
    ...ensemble.appliances.flatMap((spec) => [
      ...reservationFindings(spec),
      ...trafficFindings(spec.traffic, ["appliances", spec.name, "traffic"], ensemble),
      ...linkFindings(spec, ensemble),
    ]),
    ...(ensemble.monitors ?? []).flatMap(({ name, appliance, everyMs, source }): Finding[] => {
      const path: Path = ["monitors", name];
      const findings = unknownAppliance(appliance, known, ensemble, [...path, "appliance"]);
      const cpu = known.get(appliance)?.spec.cpu;
      if (everyMs < limits.monitorEveryMsMin) {
        const least = formatDuration(limits.monitorEveryMsMin);
        findings.push({ path: [...path, "every"], message: `more often than every ${least}` });
      }
      if (source.kind === "scheduling" && known.has(appliance) && cpu?.kind !== "reservation") {
        findings.push({
          path: [...path, "scheduling"],
          message: `"${appliance}" has no reservation of CPU time to be measured`,
          suggestion: "write cpu: {period: 40ms, execution: 16ms} there",
        });
      }
      return findings;
    }),
    ...(ensemble.strategies ?? []).flatMap((strategy) => strategyFindings(strategy, known, ensemble)),
    ...moveFindings(ensemble),
    ...adjustmentFindings(ensemble, known),
  ];
}

function sizeFindings({ serviceClasses, monitors, strategies }: Ensemble): Finding[] {
  const sizes = [
    ["classes", serviceClasses, formatLimits.serviceClasses],
    ["monitors", monitors, formatLimits.monitors],
    ["strategies", strategies, formatLimits.strategies],
  ] as const;
  return sizes.flatMap(([key, list, most]) =>
    (list?.length ?? 0) <= most
      ? []
      : [{ path: [key], message: `${list?.length} ${key}, at most ${most} are allowed` }],
  );
}

function classFindings({ serviceClasses = [] }: Ensemble): Finding[] {
  return serviceClasses.flatMap(({ name }): Finding[] => {
    const always = [gold, bestEffort].find((one) => one.name === name);
    if (always === undefined) return [];
    const message = `"${name}" is always there, with priority ${always.priority}`;
    return [{ path: ["classes", name], message, atKey: true, suggestion: "choose another name" }];
  });
}

function trafficFindings(traffic: TrafficSpec | undefined, path: Path, ensemble: Ensemble): Finding[] {
  if (traffic === undefined) return [];
  const names = new Set(serviceClassesOf(ensemble).map((one) => one.name));
  const unknown = unknownName("service class", traffic.serviceClass, names, [...path, "class"]);
  const findings: Finding[] = unknown === undefined ? [] : [unknown];
  const ways = [
    ["outCeiling", traffic.outBps, traffic.outCeilingBps],
    ["inCeiling", traffic.inBps, traffic.inCeilingBps],
  ] as const;
  for (const [key, rate, ceiling] of ways) {
    if (ceiling === undefined || ceiling >= (rate ?? 0)) continue;
    findings.push({ path: [...path, key], message: "the ceiling is below the bandwidth it promises" });
  }
  return findings;
}

/** Links count within an appliance's traffic, and a promised rate would break its ceiling. */
function linkFindings({ name, replicas, traffic }: ApplianceSpec, ensemble: Ensemble): Finding[] {
  const { outCeilingBps = Infinity, inCeilingBps = Infinity } = traffic ?? {};
  if (outCeilingBps === Infinity && inCeilingBps === Infinity) return [];
  const sizes = new Map(ensemble.appliances.map((spec) => [spec.name, spec.replicas]));
  const promised = ensemble.links.reduce((sum, { from, to, bandwidthBps = 0 }) => {
    if (from !== name && to !== name) return sum;
    const peers = from === to ? replicas - 1 : (sizes.get(from === name ? to : from) ?? 0);
    return sum + peers * bandwidthBps;
  }, 0);
  const ceilings = [
    ["outCeiling", outCeilingBps],
    ["inCeiling", inCeilingBps],
  ] as const;
  return ceilings.flatMap(([key, ceiling]) => {
    if (promised <= ceiling) return [];
    const message = `its links promise ${bandwidthText(bitsPerSecond(promised))}, more than the ceiling of all its traffic`;
    return [{ path: ["appliances", name, "traffic", key], message }];
  });
}

function strategyFindings(strategy: StrategySpec, known: Known, ensemble: Ensemble): Finding[] {
  const path: Path = ["strategies", strategy.name, "then"];
  const several = strategy.actions.length > 1;
  if (strategy.actions.length > formatLimits.actionsPerStrategy) {
    const message = `${strategy.actions.length} actions, at most ${formatLimits.actionsPerStrategy} are allowed`;
    return [{ path, message }];
  }
  return strategy.actions.flatMap((action, index) =>
    actionFindings(action, known, ensemble, several ? [...path, index] : path),
  );
}

function actionFindings(action: StrategyAction, known: Known, ensemble: Ensemble, path: Path): Finding[] {
  if (action.kind !== "move-cpu" && action.kind !== "move-bandwidth") {
    return unknownAppliance(action.appliance, known, ensemble, path);
  }
  const { from, to } = action;
  if (action.kind === "move-cpu" && (isTeam(from) || isTeam(to)))
    return teamMoveFindings(action, known, ensemble, path);
  const unknown = [from, to].flatMap((name) => unknownAppliance(name, known, ensemble, path));
  if (unknown.length > 0) return unknown;
  if (from === to) return [{ path, message: `from "${from}" to itself nothing moves` }];
  const [giver, receiver] = [known.get(from)?.spec, known.get(to)?.spec];
  if (action.kind === "move-bandwidth") {
    const both = (way: "outBps" | "inBps"): boolean =>
      giver?.traffic?.[way] !== undefined && receiver?.traffic?.[way] !== undefined;
    if (both("outBps") || both("inBps")) return [];
    const message = `${from} and ${to} are not both promised bandwidth in one direction`;
    return [{ path, message, suggestion: "write traffic: {out: 1Mbit/s} at both" }];
  }
  const bare = [from, to].filter((name) => known.get(name)?.spec.cpu === undefined);
  if (bare.length === 0 && [giver, receiver].some((spec) => spec?.cpu?.kind === "reservation")) return [];
  return (bare.length === 0 ? [to] : bare).map((name) => {
    const message = `"${name}" has no reservation of CPU time that could change`;
    return { path, message, suggestion: `write cpu: {period: 40ms, execution: 16ms} at ${name}` };
  });
}

function adjustmentFindings(ensemble: Ensemble, known: Known): Finding[] {
  return (ensemble.adjustments ?? []).flatMap((adjustment): Finding[] => {
    const { appliance, cpu, traffic, teams } = adjustment;
    const path: Path = ["adjustments", appliance];
    const unknown = unknownAppliance(appliance, known, ensemble, path).map((one) => ({
      ...one,
      atKey: true,
    }));
    const declared = declaredOf(appliance, ensemble);
    const kinds =
      declared === undefined || cpu === undefined || declared.kind === cpu.kind
        ? []
        : [
            {
              path: [...path, "cpu"],
              message: `${kindWords[cpu.kind]}, but ${kindWords[declared.kind]} is declared`,
              suggestion: `write one such as ${kindExamples[declared.kind]}, or bring up a file that declares the other`,
            },
          ];
    const isSized = cpu !== undefined || teams !== undefined;
    const spec = isSized && kinds.length === 0 ? known.get(appliance)?.spec : undefined;
    // Whatever is wrong with what is declared is told there.
    const size = spec === undefined ? [] : reservationFindings(spec, path).slice(0, 1);
    return [
      ...unknown,
      ...kinds,
      ...size.map((one) => ({ ...one, path: [...path, cpu === undefined ? "teams" : "cpu"] })),
      ...(teams ?? []).flatMap((team) =>
        unknownTeam(team.path, known.get(appliance)?.spec, [...path, "teams", team.path]),
      ),
      ...adjustedMachineFindings(known.get(appliance)?.spec, adjustment, path),
      ...trafficFindings(traffic, [...path, "traffic"], ensemble),
    ];
  });
}

const kindWords: Readonly<Record<CpuRequest["kind"], string>> = {
  share: "a share of CPU",
  reservation: "CPU time per period",
};

const kindExamples: Readonly<Record<CpuRequest["kind"], string>> = {
  share: "50%",
  reservation: "16ms/40ms",
};

/** What an appliance's declaration says of its CPU, whatever has been adjusted. */
function declaredOf(appliance: string, ensemble: Ensemble): CpuRequest | undefined {
  const { adjustments: _adjustments, ...declared } = ensemble;
  return appliancesOf(declared).find(({ name }) => name === appliance)?.spec.cpu;
}

/** CPU time is also moved between teams of one appliance that are side by side. */
function teamMoveFindings(
  { from, to }: Pick<Extract<StrategyAction, { kind: "move-cpu" }>, "from" | "to">,
  known: Known,
  ensemble: Ensemble,
  path: Path,
): Finding[] {
  const [giver, taker] = [placeOf(from), placeOf(to)];
  const unknown = unknownAppliance(giver.appliance, known, ensemble, path);
  if (unknown.length > 0) return unknown;
  if (!areSideBySide(from, to))
    return [{ path, message: `${from} and ${to} are not teams side by side in one appliance` }];
  if (from === to) return [{ path, message: `from "${from}" to itself nothing moves` }];
  const spec = known.get(giver.appliance)?.spec;
  const teams = teamsByPath(spec?.teams ?? []);
  return [giver, taker].flatMap(({ team }): Finding[] => {
    if (!teams.has(team)) return unknownTeam(team, spec, path).map(({ atKey: _atKey, ...rest }) => rest);
    if (teams.get(team)?.cpu !== undefined) return [];
    const message = `team "${team}" has no reservation of CPU time that could change`;
    return [{ path, message, suggestion: "write cpu: 8ms/40ms at it" }];
  });
}

function unknownTeam(team: string, spec: ApplianceSpec | undefined, path: Path): Finding[] {
  if (spec === undefined) return [];
  const unknown = unknownName("team", team, new Set(teamsByPath(spec.teams ?? []).keys()), path);
  return unknown === undefined ? [] : [{ ...unknown, atKey: true }];
}

/** Single appliances are meant: of several replicas, each has its own name. */
function unknownAppliance(name: string, known: Known, ensemble: Ensemble, path: Path): Finding[] {
  const group = ensemble.appliances.find((spec) => spec.name === name && !known.has(name));
  if (group !== undefined) {
    const message = `"${name}" has ${group.replicas} replicas, and one of them is meant`;
    return [{ path, message, suggestion: `write ${name}-1` }];
  }
  const unknown = unknownName("appliance", name, new Set(known.keys()), path);
  return unknown === undefined ? [] : [unknown];
}
