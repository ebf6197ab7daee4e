import { ConsortError } from "#base/errors.ts";
import type { Millis } from "#base/units.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { reservationUse } from "#control/monitor/reservation-use.ts";
import type { UseCount } from "#control/monitor/reservation-use.ts";
import type { Observed } from "#drivers/monitor/observed.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";

/** One look at all appliances serves all monitors for so long. */
const sharedMs = 100;

/** How an appliance's reservation is used and kept, from what its driver counts anyway. */
export class SchedulingProbe implements Probe {
  readonly #target: MonitorTarget;
  readonly #observed: Observed;
  readonly #ageMsMax: number;
  #before: UseCount | undefined;

  constructor(everyMs: Millis, target: MonitorTarget, observed: Observed) {
    this.#target = target;
    this.#observed = observed;
    this.#ageMsMax = Math.min(everyMs / 2, sharedMs);
    this.#before = this.#count();
  }

  async read(signal: AbortSignal): Promise<readonly Reading[]> {
    signal.throwIfAborted();
    const before = this.#before;
    const now = this.#count();
    this.#before = now;
    if (now === undefined)
      throw new ConsortError("not_found", `Cannot measure ${this.#target.appliance}: it is not on this host`);
    if (now.cpu === undefined)
      throw new ConsortError(
        "conflict",
        `Cannot measure ${this.#target.appliance}: it has no CPU time reserved`,
      );
    return before === undefined ? [] : reservationUse(before, now);
  }

  close(): void {
    // It only reads what is counted anyway.
  }

  #count(): UseCount | undefined {
    const { atMs, byId } = this.#observed.look(this.#ageMsMax);
    const one = byId.get(this.#target.appliance);
    if (one === undefined) return undefined;
    const { cpuUsedMs, cpu, scheduling } = one;
    return {
      atMs,
      cpuUsedMs,
      ...(cpu === undefined ? {} : { cpu }),
      ...(scheduling?.misses === undefined ? {} : { misses: scheduling.misses }),
    };
  }
}
