import { messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { InTurnByKey } from "#base/in-turn.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { StoreSweeper } from "#drivers/checkpoint/port.ts";
import { keptInPlace } from "#model/checkpoint-chain.ts";
import type { KeptInPlace } from "#model/checkpoint-chain.ts";
import type { StorePlan } from "#protocol/host-plan.ts";
import type { CheckpointReport, StoreReport } from "#protocol/host-report.ts";

export type HostStoresParts = {
  readonly sweeper: StoreSweeper;
  /** Complete ones that this host has on record. */
  readonly observe: () => readonly CheckpointReport[];
  /** In its turn nothing is kept of that appliance. */
  readonly turns: InTurnByKey<ApplianceId>;
  readonly clock: Clock;
  readonly log: Log;
  /** There is something to report. */
  readonly onChange: () => void;
};

type Sweep = {
  plan: StorePlan;
  /** Whether what is to be kept changed since the last time it was seen to. */
  isDue: boolean;
  isUnderWay: boolean;
  failures: number;
  report: StoreReport | undefined;
  /** Ends the pause after a failure. */
  pause: AbortController | undefined;
  /** It is asked for no more. */
  readonly stop: AbortController;
};

const nothing: KeptInPlace = { records: [], parts: [] };

/**
 * Removes from stores outside the cloud what no checkpoint needs any more.
 *
 * From a place that this host writes to it removes only while the cluster manager is known to know exactly what this
 * host has on record of it: then nobody can be told to go on from anything else that is there. A place that is to be
 * emptied is emptied whatever is on record. Nothing is remembered: a restart sees to all of them once more.
 */
export class HostStores {
  readonly #parts: HostStoresParts;
  readonly #sweeps = new Map<string, Sweep>();

  constructor(parts: HostStoresParts) {
    this.#parts = parts;
  }

  follow(plans: readonly StorePlan[], signal: AbortSignal): void {
    const wanted = new Map(plans.map((plan) => [plan.place, plan]));
    for (const [place, sweep] of this.#sweeps) {
      if (wanted.has(place)) continue;
      sweep.stop.abort();
      this.#sweeps.delete(place);
    }
    for (const [place, plan] of wanted) {
      const known = this.#sweeps.get(place);
      const isNews = known === undefined || textOf(known.plan) !== textOf(plan);
      const sweep = known ?? newSweep(plan);
      this.#sweeps.set(place, sweep);
      if (isNews) {
        Object.assign(sweep, { plan, isDue: true, failures: 0 });
        sweep.pause?.abort();
      }
      this.#see(sweep, signal);
    }
  }

  report(): readonly StoreReport[] {
    return [...this.#sweeps.values()].flatMap(({ report }) => report ?? []);
  }

  #see(sweep: Sweep, signal: AbortSignal): void {
    if (sweep.isUnderWay || !sweep.isDue || signal.aborted) return;
    sweep.isUnderWay = true;
    void this.#work(sweep, AbortSignal.any([signal, sweep.stop.signal])).finally(() => {
      sweep.isUnderWay = false;
      if (this.#sweeps.get(sweep.plan.place) === sweep) this.#see(sweep, signal);
    });
  }

  /** Once, and its pause if it failed. */
  async #work(sweep: Sweep, signal: AbortSignal): Promise<void> {
    const { plan } = sweep;
    sweep.isDue = false;
    try {
      await this.#parts.turns.run(plan.appliance, () => this.#sweep(plan, signal));
      sweep.failures = 0;
      this.#tell(sweep, plan.keep === undefined ? { place: plan.place, state: "empty" } : undefined);
    } catch (cause) {
      if (signal.aborted) return;
      const message = messageOf(cause);
      if (sweep.failures === 0)
        this.#parts.log.warn(`Cannot remove from ${plan.place}: ${message}`, { cause });
      sweep.isDue = true;
      this.#tell(sweep, { place: plan.place, state: "failed", message });
      const pauseMs = Math.min(limits.storeRetryMsMin * 2 ** sweep.failures, limits.storeRetryMsMax);
      sweep.failures += 1;
      sweep.pause = new AbortController();
      const until = AbortSignal.any([signal, sweep.pause.signal]);
      await this.#parts.clock.sleep(millis(pauseMs), until).catch(() => {});
      sweep.pause = undefined;
    }
  }

  async #sweep(plan: StorePlan, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { sweeper, observe } = this.#parts;
    if (plan.keep === undefined) return sweeper.sweep(plan, nothing, signal);
    const mine = observe().filter(({ checkpoint }) => checkpoint.appliance === plan.appliance);
    const here = keptInPlace(mine, plan.place);
    // Else the next plan says so, as soon as the cluster manager has been told.
    if (textOf(here) === textOf(plan.keep)) await sweeper.sweep(plan, here, signal);
  }

  #tell(sweep: Sweep, report: StoreReport | undefined): void {
    if (textOf(sweep.report) === textOf(report)) return;
    sweep.report = report;
    this.#parts.onChange();
  }
}

const newSweep = (plan: StorePlan): Sweep => ({
  plan,
  isDue: true,
  isUnderWay: false,
  failures: 0,
  report: undefined,
  pause: undefined,
  stop: new AbortController(),
});

const textOf = (value: unknown): string => JSON.stringify(value) ?? "";
