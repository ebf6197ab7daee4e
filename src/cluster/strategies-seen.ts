import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { RuleBook } from "#control/adaptation/book.ts";
import { fullMetric, monitorOf, unitOf } from "#control/adaptation/metrics.ts";
import type { Firing } from "#control/adaptation/rule.ts";
import { conditionText } from "#formats/strategy-text.ts";
import type { MonitorSpec, StrategySpec } from "#model/ensemble.ts";
import type { Measurement, MonitorProblem } from "#protocol/host-report.ts";
import type { MeasurementStatus, MonitorStatus, StrategyStatus } from "#protocol/http/status.ts";

/** A strategy of an ensemble that has to act. */
export type Due = { readonly ensemble: string; readonly firing: Firing };

/** How far this manager's clock is ahead of the one that times samples of a host. */
type HostTime = { readonly host: HostId; readonly aheadMs: number; readonly lastAtMs: Millis };

/** Why a monitor measures nothing now, and since when it measures nothing, for whatever reason. */
type Failing = { readonly host: HostId; readonly message: string; readonly sinceMs: number };

type Tally = { acted: number; refused: number; last?: string; lastAtMs?: Millis };

/** Why a strategy could not act the last time, and until when the same is no news. */
type Spell = { readonly reason: string; readonly untilMs: Millis };

/**
 * What monitors of one ensemble told last, and how far its strategies are. Memory only: after a restart monitors tell
 * again, and strategies begin to count anew.
 */
export class StrategiesSeen {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #book = new RuleBook();
  readonly #latest = new Map<string, { sample: Measurement; atMs: Millis }>();
  readonly #failing = new Map<string, Failing>();
  readonly #tallies = new Map<string, Tally>();
  readonly #spells = new Map<string, Spell>();
  readonly #times = new Map<string, HostTime>();
  #monitors: readonly MonitorSpec[] = [];
  #strategies: readonly StrategySpec[] = [];

  constructor(name: string, clock: Clock) {
    this.#name = name;
    this.#clock = clock;
  }

  /** Takes in what a host told, and gives what has to be done about it. What is not declared is left out. */
  hear(record: EnsembleRecord, host: HostId, samples: readonly Measurement[]): Due[] {
    this.#plug(record);
    const declared = new Map(this.#monitors.map((one) => [one.name, one]));
    return samples.flatMap((sample) => {
      const monitor = declared.get(sample.monitor);
      const id = `${this.#name}/${monitor?.appliance}` as ApplianceId;
      // Only where it is placed now: what it was measured at before it moved is over.
      if (monitor === undefined || sample.appliance !== id || record.placements[id] !== host) return [];
      const metric = fullMetric(sample.monitor, sample.metric);
      this.#latest.set(metric, { sample, atMs: this.#clock.now() });
      const atMs = this.#timeOf(metric, host, sample.atMs);
      return this.#book
        .take({ metric, value: sample.value, atMs })
        .map((firing) => ({ ensemble: this.#name, firing }));
    });
  }

  /**
   * When it was measured, by this manager's clock: a cooldown goes on while an appliance moves to a host that has been
   * up for another time. Between samples of one host it is that host's clock that counts, and not how they travelled.
   */
  #timeOf(metric: string, host: HostId, hostAtMs: Millis): Millis {
    const known = this.#times.get(metric);
    const goesOn = known?.host === host && hostAtMs >= known.lastAtMs;
    const aheadMs = goesOn ? known.aheadMs : this.#clock.monotonic() - hostAtMs;
    this.#times.set(metric, { host, aheadMs, lastAtMs: hostAtMs });
    return millis(hostAtMs + aheadMs);
  }

  /**
   * Takes in that a monitor measures nothing, or does again. A spell of failing begins once, however often its reason
   * changes. Undefined: nothing new, or of a monitor that is not there.
   */
  hearProblem(
    record: EnsembleRecord,
    host: HostId,
    { monitor, appliance, message }: MonitorProblem,
  ): "began" | "over" | undefined {
    this.#plug(record);
    const declared = this.#monitors.some(
      (one) => one.name === monitor && `${this.#name}/${one.appliance}` === appliance,
    );
    const known = this.#failing.get(monitor);
    // An appliance that moved is measured by another host now: what its former one tells is over.
    if (!declared || record.placements[appliance] !== host) return undefined;
    if (message === undefined) {
      this.#failing.delete(monitor);
      return "over";
    }
    this.#failing.set(monitor, { host, message, sinceMs: known?.sinceMs ?? this.#clock.now() });
    return known === undefined ? "began" : undefined;
  }

  /** How a firing ended. */
  note(strategy: string, outcome: "acted" | "refused", reason: string): void {
    const tally = this.#tallies.get(strategy) ?? { acted: 0, refused: 0 };
    tally[outcome] += 1;
    tally.last = reason;
    tally.lastAtMs = this.#clock.now();
    this.#tallies.set(strategy, tally);
  }

  /**
   * Whether it is news that a strategy cannot act: the first time, after it could, for another reason, and when it had
   * nothing to do for longer than it would have kept still. A strategy that goes on wanting what cannot be tells it once.
   */
  isNews(strategy: string, outcome: "acted" | "refused", reason: string): boolean {
    const before = this.#spells.get(strategy);
    this.#spells.delete(strategy);
    if (outcome === "acted") return true;
    const nowMs = this.#clock.monotonic();
    const { cooldownMs = 0, forMs = 0 } = this.#strategies.find(({ name }) => name === strategy) ?? {};
    this.#spells.set(strategy, {
      reason,
      untilMs: millis(nowMs + quietFactor * (cooldownMs + forMs) + slackMs),
    });
    return before === undefined || before.reason !== reason || nowMs > before.untilMs;
  }

  measurements(record: EnsembleRecord): MeasurementStatus[] {
    this.#plug(record);
    return [...this.#latest]
      .map(([metric, { sample, atMs }]): MeasurementStatus => {
        const unit = unitOf(metric, monitorOf(metric, this.#monitors));
        const appliance = sample.appliance.slice(this.#name.length + 1);
        return { metric, appliance, value: sample.value, ...(unit === undefined ? {} : { unit }), atMs };
      })
      .toSorted((a, b) => a.metric.localeCompare(b.metric, "en"));
  }

  monitors(record: EnsembleRecord): MonitorStatus[] {
    this.#plug(record);
    return this.#monitors.map(({ name, appliance }) => {
      const failing = this.#failing.get(name);
      // Where it runs now has told nothing of it yet.
      const isHere = failing?.host === record.placements[`${this.#name}/${appliance}` as ApplianceId];
      if (failing === undefined || !isHere) return { name, appliance };
      return { name, appliance, problem: failing.message, sinceMs: failing.sinceMs };
    });
  }

  strategies(record: EnsembleRecord): StrategyStatus[] {
    this.#plug(record);
    return this.#strategies.map(({ name, when, forMs }) => ({
      name,
      when: conditionText(when, forMs),
      ...(this.#tallies.get(name) ?? { acted: 0, refused: 0 }),
    }));
  }

  /** Monitors and strategies come and go while all runs; what has not changed goes on from where it is. */
  #plug({ ensemble }: EnsembleRecord): void {
    const { monitors = none, strategies = none } = ensemble;
    if (monitors === this.#monitors && strategies === this.#strategies) return;
    this.#monitors = monitors;
    this.#strategies = strategies;
    this.#book.set(strategies, monitors);
    for (const [metric, { sample }] of this.#latest) {
      if (!monitors.some(({ name }) => name === sample.monitor)) this.#latest.delete(metric);
    }
    for (const monitor of this.#failing.keys())
      if (!monitors.some(({ name }) => name === monitor)) this.#failing.delete(monitor);
    for (const metric of this.#times.keys()) if (!this.#latest.has(metric)) this.#times.delete(metric);
  }
}

const none: readonly never[] = [];
/** Firings of one spell are a cooldown and a wait apart, and as much as monitors and hosts are late. */
const quietFactor = 2;
const slackMs = 10_000;
