import { withDeadline } from "#base/deadline.ts";
import { ConsortError, messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { fullMetric } from "#control/adaptation/metrics.ts";
import { beginRule, gapMsMaxOf, stepRule } from "#control/adaptation/rule.ts";
import type { RuleState, Watch } from "#control/adaptation/rule.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { ensembleDefaults } from "#formats/ensemble-defaults.ts";
import { readCondition, readThreshold } from "#formats/strategy-text.ts";
import type { Violation } from "./interception.ts";
import type { Meter } from "./meter.ts";

export type WatchSettings = {
  /** Pause between two readings, at least 20 ms; 1000 unless told. */
  readonly everyMs?: number;
  /** Once for each reason, and undefined when it measures again. */
  readonly onProblem?: (problem: string | undefined) => void;
};

export type ViolationSettings = {
  /** Pause after a violation before there is another one, in ms; 5000 unless told. */
  readonly cooldownMs?: number;
  /** "10ms": there is no other one before the metric was there, or on its good side. */
  readonly rearm?: string;
};

type Plugged = {
  readonly watch: Watch;
  readonly onViolation: (violation: Violation) => void;
  state: RuleState;
};

/**
 * A monitor that reads a meter again and again, and tells when what it measures has been beyond a threshold for so long.
 * Conditions are plugged in and out meanwhile; in the words of ensemble files, as `when` of a strategy.
 */
export class Watching implements Disposable {
  readonly #meter: Meter;
  readonly #everyMs: Millis;
  readonly #onProblem: (problem: string | undefined) => void;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #plugged = new Set<Plugged>();
  readonly #latest = new Map<string, number>();
  #problem: string | undefined;

  constructor(meter: Meter, { everyMs = 1000, onProblem = () => {} }: WatchSettings, clock: Clock) {
    if (!(everyMs >= limits.monitorEveryMsMin && Number.isFinite(everyMs)))
      throw new ConsortError(
        "bad_input",
        `Cannot watch ${meter.name}: everyMs is ${everyMs}, ${limits.monitorEveryMsMin} or more is wanted`,
      );
    this.#meter = meter;
    this.#everyMs = millis(everyMs);
    this.#onProblem = onProblem;
    this.#clock = clock;
    void this.#run();
  }

  /**
   * "jitter > 20ms for 1s", of a meter that measures one thing also its name alone. Throws `bad_input` for what is no
   * condition. Dispose of the result to unplug it.
   */
  when(
    condition: string,
    onViolation: (violation: Violation) => void,
    settings: ViolationSettings = {},
  ): Disposable {
    const plugged: Plugged = { watch: this.#watchOf(condition, settings), onViolation, state: beginRule() };
    this.#plugged.add(plugged);
    return { [Symbol.dispose]: () => void this.#plugged.delete(plugged) };
  }

  /** What was measured last, by metric; "" where the meter measures one thing. */
  get latest(): ReadonlyMap<string, number> {
    return this.#latest;
  }

  /** What keeps it from measuring now. */
  get problem(): string | undefined {
    return this.#problem;
  }

  [Symbol.dispose](): void {
    this.#ended.abort(new ConsortError("cancelled", `${this.#meter.name} is not watched any more`));
  }

  #watchOf(text: string, { cooldownMs = ensembleDefaults.cooldownMs, rearm }: ViolationSettings): Watch {
    const wrong = (message: string): ConsortError =>
      new ConsortError("bad_input", `Cannot watch ${this.#meter.name}: ${message}`);
    const read = readCondition(text);
    if (!read.ok) throw wrong(read.message);
    const back = rearm === undefined ? undefined : readThreshold(rearm);
    if (back?.ok === false) throw wrong(back.message);
    const { condition, forMs } = read.value;
    const { name } = this.#meter;
    const bare = condition.metric.startsWith(`${name}.`)
      ? condition.metric.slice(name.length + 1)
      : condition.metric;
    const metric = bare === name ? name : fullMetric(name, bare);
    const unit = this.#meter.unitOf?.(bare);
    return {
      rule: {
        name,
        when: { ...condition, metric },
        forMs,
        actions: [],
        cooldownMs: millis(cooldownMs),
        ...(back === undefined ? {} : { rearm: back.value }),
      },
      metric,
      gapMsMax: gapMsMaxOf(this.#everyMs),
      ...(unit === undefined ? {} : { unit }),
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    const limitMs = millis(
      Math.min(limits.monitorReadMsMax, Math.max(this.#everyMs, limits.monitorReadMsMin)),
    );
    let dueMs: number = this.#clock.monotonic();
    while (await this.#pause(dueMs, signal)) {
      // What takes longer than its period is done less often, not twice at once.
      dueMs = Math.max(dueMs + this.#everyMs, this.#clock.monotonic());
      try {
        const read = async (within: AbortSignal): Promise<readonly Reading[]> => this.#meter.read(within);
        this.#take(await withDeadline(this.#clock, limitMs, read, signal));
        this.#tell(undefined);
      } catch (cause) {
        if (!signal.aborted) this.#tell(messageOf(cause));
      }
    }
  }

  /** False: it has ended. */
  async #pause(untilMs: number, signal: AbortSignal): Promise<boolean> {
    const pauseMs = millis(Math.max(0, untilMs - this.#clock.monotonic()));
    return this.#clock.sleep(pauseMs, signal).then(
      () => true,
      () => false,
    );
  }

  #take(readings: readonly Reading[]): void {
    const atMs = this.#clock.monotonic();
    for (const { metric, value } of readings) {
      this.#latest.set(metric, value);
      const sample = { metric: fullMetric(this.#meter.name, metric), value, atMs };
      for (const plugged of this.#plugged) {
        const { state, firing } = stepRule(plugged.watch, plugged.state, sample);
        plugged.state = state;
        if (firing === undefined) continue;
        plugged.onViolation({ monitor: sample.metric, value, reason: firing.reason });
      }
    }
  }

  #tell(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#onProblem(problem);
  }
}
