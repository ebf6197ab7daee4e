import { formatDuration, millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { formatValue, monitorOf, unitOf } from "#control/adaptation/metrics.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import type { Condition, MonitorSpec, StrategySpec } from "#model/ensemble.ts";

/**
 * One strategy, from sample to decision (reference vtm.md, Adaptation: the strategy selector).
 *
 *            beyond                       beyond for the whole time
 *   waiting ────────► counting ──────────────────────────────────────► quiet
 *      ▲                  │ not beyond, or too long without a sample     │ cooldown over, and relief seen
 *      ├──────────────────┘                                              │ where `rearm` wants it
 *      └─────────────────────────────────────────────────────────────────┘
 *
 * Only samples prove anything: time without them counts for nothing, and a sample that is no number is none. What is
 * seen while quiet does not count towards the next time, since what was done needs time to show.
 */
export type RuleState = {
  /** When the unbroken run of samples beyond the threshold began. */
  readonly beyondSinceMs?: Millis;
  readonly lastAtMs?: Millis;
  readonly quietUntilMs?: Millis;
  /** It has acted, and its metric must come back before it acts again. */
  readonly spent: boolean;
};

export type Watch = {
  readonly rule: StrategySpec;
  /** In full: "video.jitter". */
  readonly metric: string;
  readonly unit?: Unit;
  /** Samples further apart prove nothing about the time between them. */
  readonly gapMsMax: Millis;
};

/** All samples of one state are told by one clock that does not jump. */
export type Sample = { readonly metric: string; readonly value: number; readonly atMs: Millis };

export type Firing = {
  readonly rule: string;
  readonly value: number;
  /** How long it had been beyond. */
  readonly forMs: Millis;
  /** For people: "video.jitter was above 20 ms for 1.2s, 31.4 ms now". */
  readonly reason: string;
};

export type Step = { readonly state: RuleState; readonly firing?: Firing };

/** Two samples in a row may be late by half a period, or by this. */
const lateMs = 250;
const gapFactor = 2.5;
/** Of a metric that no monitor is known to tell. */
const unknownEveryMs = 1000;

export function watchOf(rule: StrategySpec, monitors: readonly MonitorSpec[]): Watch {
  const { metric } = rule.when;
  const monitor = monitorOf(metric, monitors);
  const everyMs = monitor?.everyMs ?? unknownEveryMs;
  const unit = unitOf(metric, monitor);
  return {
    rule,
    metric,
    gapMsMax: gapMsMaxOf(everyMs),
    ...(unit === undefined ? {} : { unit }),
  };
}

/** Of samples that are to come so often. */
export const gapMsMaxOf = (everyMs: number): Millis =>
  millis(Math.max(everyMs * gapFactor, everyMs + lateMs));

export const beginRule = (): RuleState => ({ spent: false });

/** Samples of other metrics change nothing. */
export function stepRule(watch: Watch, state: RuleState, sample: Sample): Step {
  const { rule, gapMsMax } = watch;
  const { value, atMs } = sample;
  if (sample.metric !== watch.metric || !Number.isFinite(value)) return { state };
  const goesOn = state.lastAtMs !== undefined && atMs >= state.lastAtMs && atMs - state.lastAtMs <= gapMsMax;
  const spent = state.spent && !(rule.rearm !== undefined && relieves(rule.when, rule.rearm, value));
  // A clock that began anew must not make the pause longer than it is.
  const quietUntilMs =
    state.quietUntilMs === undefined || atMs >= state.quietUntilMs
      ? undefined
      : millis(Math.min(state.quietUntilMs, atMs + rule.cooldownMs));
  const next = { lastAtMs: atMs, spent, ...(quietUntilMs === undefined ? {} : { quietUntilMs }) };
  if (quietUntilMs !== undefined || spent || !isBeyond(rule.when, value)) return { state: next };
  const beyondSinceMs = (goesOn ? state.beyondSinceMs : undefined) ?? atMs;
  const forMs = millis(atMs - beyondSinceMs);
  if (forMs < rule.forMs) return { state: { ...next, beyondSinceMs } };
  return {
    state: {
      lastAtMs: atMs,
      quietUntilMs: millis(atMs + rule.cooldownMs),
      spent: rule.rearm !== undefined,
    },
    firing: { rule: rule.name, value, forMs, reason: reasonOf(watch, value, forMs) },
  };
}

export function isBeyond({ comparison, threshold }: Condition, value: number): boolean {
  switch (comparison) {
    case ">":
      return value > threshold;
    case ">=":
      return value >= threshold;
    case "<":
      return value < threshold;
    case "<=":
      return value <= threshold;
    default:
      return comparison satisfies never;
  }
}

const isCeiling = ({ comparison }: Condition): boolean => comparison === ">" || comparison === ">=";

const relieves = (when: Condition, rearm: number, value: number): boolean =>
  isCeiling(when) ? value <= rearm : value >= rearm;

const words = { ">": "above", ">=": "at or above", "<": "below", "<=": "at or below" } as const;

function reasonOf({ rule, metric, unit }: Watch, value: number, forMs: Millis): string {
  const { comparison, threshold } = rule.when;
  const howLong = forMs > 0 ? ` for ${formatDuration(forMs)}` : "";
  return `${metric} was ${words[comparison]} ${formatValue(threshold, unit)}${howLong}, ${formatValue(value, unit)} now`;
}
