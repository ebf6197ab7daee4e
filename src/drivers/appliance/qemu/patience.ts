import { codeOf } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { RestoreRefusal } from "#protocol/host-report.ts";

const pauseMsMin = 500;
const pauseMsMax = 30_000;
/** The same memory is read in the same way each time. What copies are fetched from may be back soon. */
const refusalsMax = { memory: 3, content: 7 } as const;

/** Between attempts of one machine to come up: each failure in a row doubles the pause before the next. */
export class Patience {
  readonly #clock: Pick<Clock, "monotonic">;
  #failures = 0;
  #until = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  failed(): void {
    const pauseMs = Math.min(pauseMsMin * 2 ** this.#failures, pauseMsMax);
    this.#failures += 1;
    this.#until = this.#clock.monotonic() + pauseMs;
  }

  isUp(): void {
    this.#failures = 0;
    this.#until = 0;
  }

  /** 0: it may be tried now. */
  restMs(): Millis {
    return millis(Math.max(0, this.#until - this.#clock.monotonic()));
  }
}

/** What it is to go on from; undefined: from none. One that arrives has done so already, where it comes from. */
const checkpointOf = ({ vm }: Pick<AppliancePlan, "vm">): string | undefined =>
  vm?.move?.side === "arriving" ? undefined : vm?.restore?.checkpoints[0]?.id;

/** It could not be begun, and is not to be tried again at once; not so where it only waits for a host or a snapshot. */
export const isFailure = (plan: Pick<AppliancePlan, "vm">, cause: unknown): boolean =>
  codeOf(cause) !== "unavailable" || checkpointOf(plan) !== undefined;

/** One more failure to go on from what its plan says; undefined when it says nothing, or its memory is not wanted. */
export function oneMoreRefusal(
  plan: Pick<AppliancePlan, "vm">,
  before: RestoreRefusal | undefined,
  by: keyof typeof refusalsMax,
  why: string,
): RestoreRefusal | undefined {
  const checkpoint = checkpointOf(plan);
  if (checkpoint === undefined) return undefined;
  const times = (before?.checkpoint === checkpoint ? before.times : 0) + 1;
  return { checkpoint, why, times, ...(times >= refusalsMax[by] ? { final: true } : {}) };
}
