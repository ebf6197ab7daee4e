import { beginRule, stepRule, watchOf } from "#control/adaptation/rule.ts";
import type { Firing, RuleState, Sample, Watch } from "#control/adaptation/rule.ts";
import type { MonitorSpec, StrategySpec } from "#model/ensemble.ts";

type Entry = { readonly key: string; readonly watch: Watch; state: RuleState };

/** The strategies in force, plugged in and out while samples come. */
export class RuleBook {
  #entries: readonly Entry[] = [];

  /** These from now on. What has not changed goes on from where it is. */
  set(rules: readonly StrategySpec[], monitors: readonly MonitorSpec[]): void {
    const before = new Map(this.#entries.map((entry) => [entry.watch.rule.name, entry]));
    this.#entries = rules.map((rule) => {
      const watch = watchOf(rule, monitors);
      const key = JSON.stringify([watch.gapMsMax, watch.unit, rule]);
      const known = before.get(rule.name);
      return known?.key === key ? known : { key, watch, state: beginRule() };
    });
  }

  watches(metric: string): boolean {
    return this.#entries.some((entry) => entry.watch.metric === metric);
  }

  /** What this sample makes strategies do, in their declared order. */
  take(sample: Sample): Firing[] {
    return this.#entries.flatMap((entry) => {
      const { state, firing } = stepRule(entry.watch, entry.state, sample);
      entry.state = state;
      return firing === undefined ? [] : [firing];
    });
  }
}
