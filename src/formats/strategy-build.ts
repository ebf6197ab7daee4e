import { monitorOf, unitOf } from "#control/adaptation/metrics.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import { readSeries, seriesExpected } from "#control/monitor/series.ts";
import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import type { EnsembleDocument } from "#formats/ensemble-schema.ts";
import type { Finding, Path } from "#formats/problem.ts";
import { durationOf, given, wordsOf } from "#formats/quantities.ts";
import type { ActionDocument, MonitorDocument, StrategyDocument } from "#formats/reservation-schema.ts";
import { readAction, readCondition, readThreshold, unitProblem } from "#formats/strategy-text.ts";
import { resolveMetric } from "#formats/metric-names.ts";
import type {
  MonitorSource,
  MonitorSpec,
  NamedSeries,
  StrategyAction,
  StrategySpec,
} from "#model/ensemble.ts";

export function monitorsOf(
  monitors: NonNullable<EnsembleDocument["monitors"]>,
  findings: Finding[],
): MonitorSpec[] {
  return Object.entries(monitors).flatMap(([name, monitor]) => {
    const source = sourceOf(monitor, ["monitors", name], findings);
    if (source === undefined) return [];
    const everyMs = durationOf(monitor.every) ?? ensembleDefaults.monitorEveryMs;
    return [{ name, appliance: monitor.appliance, everyMs, source }];
  });
}

function sourceOf(monitor: MonitorDocument, path: Path, findings: Finding[]): MonitorSource | undefined {
  const { rtp, scheduling, script, http } = monitor;
  const metrics = metricsIn(monitor, path, findings);
  const sources: MonitorSource[] = [
    ...(rtp === undefined ? [] : [{ kind: "rtp" as const, port: rtp }]),
    ...(scheduling === undefined ? [] : [{ kind: "scheduling" as const }]),
    ...(script === undefined
      ? []
      : [{ kind: "script" as const, command: wordsOf(script, [...path, "script"], findings), ...metrics }]),
    ...(http === undefined ? [] : [{ kind: "http" as const, url: http, ...metrics }]),
  ];
  if (sources.length === 1) return sources[0];
  findings.push({
    path,
    message: sources.length === 0 ? "what it measures is not said" : "it measures one thing only",
    suggestion: "write one of rtp: PORT, scheduling: true, script: COMMAND or http: URL",
  });
  return undefined;
}

function metricsIn(
  { script, http, metrics }: MonitorDocument,
  path: Path,
  findings: Finding[],
): { readonly metrics?: NamedSeries } {
  if (metrics === undefined) return {};
  if (script === undefined && http === undefined) {
    findings.push({
      path: [...path, "metrics"],
      message: "only of what a program or page tells metrics can be named",
      suggestion: "leave metrics out, or write script: COMMAND or http: URL",
    });
  }
  for (const [name, text] of Object.entries(metrics)) {
    if (readSeries(text) === undefined)
      findings.push({
        path: [...path, "metrics", name],
        message: `${seriesExpected}, not ${JSON.stringify(text)}`,
      });
  }
  return { metrics };
}

/** Strategies whose sentences mean something; bare names of metrics are those of the one monitor that gives them. */
export function strategiesOf(
  strategies: NonNullable<EnsembleDocument["strategies"]>,
  monitors: readonly MonitorSpec[],
  findings: Finding[],
): StrategySpec[] {
  return Object.entries(strategies).flatMap(([name, strategy]) => {
    const path: Path = ["strategies", name];
    const actions = actionsOf(strategy, path, findings);
    const when = readCondition(strategy.when);
    if (!when.ok) {
      findings.push({ ...when, path: [...path, "when"] });
      return [];
    }
    const { condition, forMs, threshold } = when.value;
    const metric = resolveMetric(condition.metric, monitors, [...path, "when"], findings);
    const unit = unitOf(metric, monitorOf(metric, monitors));
    const odd = unitProblem(threshold, unit);
    if (odd !== undefined) findings.push({ ...odd, path: [...path, "when"] });
    return [
      {
        name,
        when: { ...condition, metric },
        forMs,
        actions,
        cooldownMs: durationOf(strategy.cooldown) ?? ensembleDefaults.cooldownMs,
        ...given("rearm", rearmOf(strategy, unit, [...path, "rearm"], findings)),
      },
    ];
  });
}

function rearmOf(
  { rearm }: StrategyDocument,
  unit: Unit | undefined,
  path: Path,
  findings: Finding[],
): number | undefined {
  if (rearm === undefined) return undefined;
  const value = readThreshold(String(rearm));
  const odd = value.ok ? unitProblem(String(rearm), unit) : value;
  if (odd !== undefined) findings.push({ ...odd, path });
  return value.ok ? value.value : undefined;
}

function actionsOf({ then }: StrategyDocument, path: Path, findings: Finding[]): StrategyAction[] {
  const at: Path = [...path, "then"];
  if (!Array.isArray(then)) return actionOf(then, at, findings);
  return then.flatMap((one, index) => actionOf(one, [...at, index], findings));
}

function actionOf(document: ActionDocument, path: Path, findings: Finding[]): StrategyAction[] {
  if (typeof document === "string") {
    const action = readAction(document);
    if (action.ok) return [action.value];
    findings.push({ ...action, path });
    return [];
  }
  const { in: appliance, command } = document.run;
  return [{ kind: "run", appliance, command: wordsOf(command, [...path, "run", "command"], findings) }];
}
