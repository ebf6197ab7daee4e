import { cpuLimits } from "#drivers/appliance/task/cpu-limits.ts";
import { shareCpu } from "#sim/drivers/cpu-share.ts";
import type { SimulatedAppliance } from "#sim/drivers/machine.ts";
import type { Demand, SimulationSettings } from "#sim/settings.ts";

/** Those that execute, with what each may have; `steady`: their shares, while what each wants never changes. */
type Claims = {
  readonly members: readonly SimulatedAppliance[];
  readonly limits: readonly { readonly weight: number; readonly limitMilli: number }[];
  readonly demands: readonly Demand[];
  readonly steady: readonly number[] | undefined;
};

/** Who used how much of a machine's processors. Shares are worked out anew only when somebody begins or ends to execute. */
export class CpuUse {
  readonly #capacityMilli: number;
  readonly #settings: SimulationSettings;
  #untilMs = 0;
  #claims: Claims | undefined;

  constructor(capacityMilli: number, settings: SimulationSettings) {
    this.#capacityMilli = capacityMilli;
    this.#settings = settings;
  }

  /** To be called, with the time counted before, when who executes changes, or what one may have. */
  changed(): void {
    this.#claims = undefined;
  }

  /** Counts the time up to now: shares are taken to be those at the middle of the time since. */
  count(nowMs: number, present: Iterable<SimulatedAppliance>): void {
    const elapsedMs = nowMs - this.#untilMs;
    if (elapsedMs <= 0) return;
    const middleMs = this.#untilMs + elapsedMs / 2;
    this.#untilMs = nowMs;
    this.#claims ??= this.#claimsOf([...present].filter((one) => one.executesSinceMs !== undefined));
    const { members, limits, demands, steady } = this.#claims;
    const shares =
      steady ??
      this.#sharesOf(
        limits,
        demands.map((demand) => (typeof demand === "number" ? demand : demand(middleMs))),
      );
    for (let at = 0; at < members.length; at += 1) members[at]!.cpuUsedMs += (shares[at]! * elapsedMs) / 1000;
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
    return { members, limits, demands, steady };
  }

  #sharesOf(limits: Claims["limits"], demandsMilli: readonly number[]): number[] {
    return shareCpu(
      this.#capacityMilli,
      limits.map((limit, at) => ({ ...limit, demandMilli: demandsMilli[at]! })),
    );
  }
}
