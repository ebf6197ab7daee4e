import { cpuLimits } from "#drivers/appliance/task/cpu-limits.ts";
import { shareCpu } from "#sim/drivers/cpu-share.ts";
import type { SimulatedAppliance } from "#sim/drivers/machine-appliance.ts";
import type { Demand, SimulationSettings } from "#sim/settings.ts";

/** Those that execute, with what each may have; `steady`: their shares, while what each wants never changes. */
type Claims = {
  readonly members: readonly SimulatedAppliance[];
  readonly limits: readonly { readonly weight: number; readonly limitMilli: number }[];
  readonly demands: readonly Demand[];
  readonly steady: readonly number[] | undefined;
  /** What each has used, side by side: counted again and again, it would lie far apart in the appliances themselves. */
  readonly usedMs: Float64Array;
};

/** Who used how much of a machine's processors. Shares are worked out anew only when somebody begins or ends to execute. */
export class CpuUse {
  readonly #capacityMilli: number;
  readonly #settings: SimulationSettings;
  #untilMs = 0;
  #claims: Claims | undefined;
  /** Those who were asked about last, and where each of them is among the members; -1: it does not execute. */
  #asked:
    | { readonly by: Claims; readonly about: readonly SimulatedAppliance[]; readonly at: readonly number[] }
    | undefined;

  constructor(capacityMilli: number, settings: SimulationSettings) {
    this.#capacityMilli = capacityMilli;
    this.#settings = settings;
  }

  /** To be called, with the time counted before, when who executes changes, or what one may have. */
  changed(): void {
    const claims = this.#claims;
    claims?.members.forEach((one, at) => (one.cpuUsedMs = claims.usedMs[at]!));
    this.#claims = undefined;
    this.#asked = undefined;
  }

  /** What each of these had used when it was last counted. Quickest when asked about the same list again. */
  usedMs(about: readonly SimulatedAppliance[]): readonly number[] {
    const by = this.#claims;
    if (by === undefined) return about.map((one) => one.cpuUsedMs);
    if (this.#asked?.by !== by || this.#asked.about !== about) {
      this.#asked = { by, about, at: about.map((one) => by.members.indexOf(one)) };
    }
    return this.#asked.at.map((at, index) => (at < 0 ? about[index]!.cpuUsedMs : by.usedMs[at]!));
  }

  /** Counts the time up to now: shares are taken to be those at the middle of the time since. */
  count(nowMs: number, present: Iterable<SimulatedAppliance>): void {
    const elapsedMs = nowMs - this.#untilMs;
    if (elapsedMs <= 0) return;
    const middleMs = this.#untilMs + elapsedMs / 2;
    this.#untilMs = nowMs;
    this.#claims ??= this.#claimsOf([...present].filter((one) => one.executesSinceMs !== undefined));
    const { usedMs, limits, demands, steady } = this.#claims;
    const shares =
      steady ??
      this.#sharesOf(
        limits,
        demands.map((demand) => (typeof demand === "number" ? demand : demand(middleMs))),
      );
    for (let at = 0; at < usedMs.length; at += 1) usedMs[at]! += (shares[at]! * elapsedMs) / 1000;
  }

  #claimsOf(members: readonly SimulatedAppliance[]): Claims {
    const limits = members.map(({ plan }) => {
      const { weight, quota } = cpuLimits(plan.cpu);
      const limitMilli = quota === "max" ? this.#capacityMilli : (quota.quotaUs * 1000) / quota.periodUs;
      return { weight, limitMilli };
    });
    const demands = members.map(({ plan }) => this.#settings.demandOf(plan.id));
    const steadyDemands = demands.filter((demand) => typeof demand === "number");
    const steady =
      steadyDemands.length === demands.length ? this.#sharesOf(limits, steadyDemands) : undefined;
    const usedMs = Float64Array.from(members, (one) => one.cpuUsedMs);
    return { members, limits, demands, steady, usedMs };
  }

  #sharesOf(limits: Claims["limits"], demandsMilli: readonly number[]): number[] {
    return shareCpu(
      this.#capacityMilli,
      limits.map((limit, at) => ({ ...limit, demandMilli: demandsMilli[at]! })),
    );
  }
}
