import { micros, millis } from "#base/units.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import type { Millis } from "#base/units.ts";
import {
  bandwidthText,
  durationText,
  durationUsText,
  parseBandwidth,
  parseDurationUs,
} from "#formats/units.ts";
import type { Condition, StrategyAction } from "#model/ensemble.ts";

/** A sentence of a strategy as it was meant, or why it means nothing. */
type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string; readonly suggestion?: string };

const whenShape = /^([A-Za-z][\w.-]*)\s*(>=|<=|>|<|≥|≤)\s*([^\s]+)(?:\s+for\s+(\S+))?$/;
const moveShape = /^move\s+(\S+)\s+from\s+(\S+)\s+to\s+(\S+)$/;
const holdShape = /^(suspend|resume)\s+(\S+)$/;
const plainNumber = /^[+-]?(?:\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})(?:e[+-]?\d{1,3})?$/i;

const comparisons: Readonly<Record<string, Condition["comparison"]>> = {
  ">": ">",
  ">=": ">=",
  "≥": ">=",
  "<": "<",
  "<=": "<=",
  "≤": "<=",
};

/** "video.jitter > 20ms for 1s". The metric is still as it was written, bare or with its monitor; so is `threshold`. */
export function readCondition(
  text: string,
): Read<{ condition: Condition; forMs: Millis; threshold: string }> {
  const found = whenShape.exec(text.trim());
  const [, metric = "", comparison = "", threshold = "", period] = found ?? [];
  if (found === null) {
    return {
      ok: false,
      message: `expected METRIC > THRESHOLD, perhaps for DURATION, not ${JSON.stringify(text)}`,
      suggestion: "write video.jitter > 20ms for 1s",
    };
  }
  const value = readThreshold(threshold);
  if (!value.ok) return value;
  const forUs = period === undefined ? undefined : parseDurationUs(period);
  if (forUs?.ok === false) {
    const more = forUs.suggestion === undefined ? {} : { suggestion: forUs.suggestion };
    return { ok: false, message: `expected ${forUs.expected} after "for", not "${period}"`, ...more };
  }
  const condition = { metric, comparison: comparisons[comparison] ?? ">", threshold: value.value };
  const forMs = millis(Math.round((forUs?.value ?? 0) / 1000));
  return { ok: true, value: { condition, forMs, threshold } };
}

/** What a metric is measured against. Durations become ms, percentages ratios, bandwidths bit/s, "25/s" 25; other numbers are what they are. */
export function readThreshold(text: string): Read<number> {
  if (plainNumber.test(text)) return { ok: true, value: Number(text) };
  const [, digits = "", unit] = /^([^%/]+)(%|\/s)$/.exec(text) ?? [];
  if (unit !== undefined && plainNumber.test(digits)) {
    return { ok: true, value: unit === "%" ? Number(digits) / 100 : Number(digits) };
  }
  const duration = parseDurationUs(text);
  if (duration.ok) return { ok: true, value: duration.value / 1000 };
  const bandwidth = parseBandwidth(text);
  if (bandwidth.ok) return { ok: true, value: bandwidth.value };
  return {
    ok: false,
    message: `expected a threshold such as 20ms, 2%, 25/s or 0.5, not "${text}"`,
  };
}

/** Why a threshold cannot be what a metric of this unit is measured against, and what may have been meant; undefined: it can. */
export function unitProblem(
  text: string,
  unit: Unit | undefined,
): { readonly message: string; readonly suggestion: string } | undefined {
  const trimmed = text.trim();
  const isBare = plainNumber.test(trimmed);
  const value = Number(trimmed);
  if (unit === "ms") {
    if (parseDurationUs(trimmed).ok || (isBare && value === 0)) return undefined;
    const message = `expected a duration such as 20ms, not "${text}"`;
    return { message, suggestion: isBare ? `write ${trimmed}ms or ${trimmed}s` : "write 20ms" };
  }
  if (unit === "ratio") {
    if (trimmed.endsWith("%") || (isBare && value <= 1)) return undefined;
    const message = `expected a share such as 2% or 0.02, not "${text}"`;
    return { message, suggestion: isBare ? `write ${trimmed}%` : "write 2%" };
  }
  if (unit === undefined || isBare || trimmed.endsWith("/s")) return undefined;
  return { message: `expected so many a second, such as 25/s, not "${text}"`, suggestion: "write 25/s" };
}

/** "move 8ms from a to b", "move 1Mbit/s from a to b", "suspend a", "resume a". */
export function readAction(text: string): Read<StrategyAction> {
  const hold = holdShape.exec(text.trim());
  if (hold !== null) {
    const [, kind, appliance = ""] = hold;
    return { ok: true, value: { kind: kind === "suspend" ? "suspend" : "resume", appliance } };
  }
  const [, amount, from = "", to = ""] = moveShape.exec(text.trim()) ?? [];
  const suggestion = "write move 8ms from a to b, move 1Mbit/s from a to b, suspend a, or resume a";
  if (amount === undefined) {
    return { ok: false, message: `no action: ${JSON.stringify(text)}`, suggestion };
  }
  const execution = parseDurationUs(amount);
  if (execution.ok && execution.value > 0) {
    return { ok: true, value: { kind: "move-cpu", executionUs: execution.value, from, to } };
  }
  const bandwidth = parseBandwidth(amount);
  if (bandwidth.ok) {
    return { ok: true, value: { kind: "move-bandwidth", bandwidthBps: bandwidth.value, from, to } };
  }
  return {
    ok: false,
    message: `expected CPU time such as 8ms or bandwidth such as 1Mbit/s to move, not "${amount}"`,
    suggestion,
  };
}

/** Reads back as the same condition. */
export function conditionText({ metric, comparison, threshold }: Condition, forMs: Millis): string {
  const lasting = forMs === 0 ? "" : ` for ${durationText(forMs)}`;
  return `${metric} ${comparison} ${thresholdText(metric, threshold)}${lasting}`;
}

/** With the unit people know it by, where the metric has one of its own and the unit loses nothing. */
export function thresholdText(metric: string, threshold: number): string {
  const withUnit = units
    .filter(({ metrics }) => metrics.includes(metric.slice(metric.indexOf(".") + 1)))
    .map(({ text }) => text(threshold))
    .find((text) => {
      const back = readThreshold(text);
      return back.ok && back.value === threshold;
    });
  return withUnit ?? String(threshold);
}

const units: readonly { readonly metrics: readonly string[]; readonly text: (value: number) => string }[] = [
  { metrics: ["jitter", "deviation"], text: (value) => durationUsText(micros(value * 1000)) },
  { metrics: ["loss", "usage"], text: (value) => `${String(Number((value * 100).toPrecision(12)))}%` },
];

/** Reads back as the same action; one that runs a command has no such sentence. */
export function actionText(action: Exclude<StrategyAction, { readonly kind: "run" }>): string {
  switch (action.kind) {
    case "move-cpu":
      return `move ${durationUsText(action.executionUs)} from ${action.from} to ${action.to}`;
    case "move-bandwidth":
      return `move ${bandwidthText(action.bandwidthBps)} from ${action.from} to ${action.to}`;
    default:
      return `${action.kind} ${action.appliance}`;
  }
}
