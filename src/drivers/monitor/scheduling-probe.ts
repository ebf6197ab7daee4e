import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { reservationUse } from "#control/monitor/reservation-use.ts";
import type { UseCount } from "#control/monitor/reservation-use.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { MonitorTarget, Probe } from "#drivers/monitor/port.ts";

/** How an appliance's reservation is used and kept, from what its driver counts anyway. */
export class SchedulingProbe implements Probe {
  readonly #target: MonitorTarget;
  readonly #appliances: Pick<ApplianceDriver, "observe">;
  readonly #clock: Clock;
  #before: UseCount | undefined;

  constructor(target: MonitorTarget, appliances: Pick<ApplianceDriver, "observe">, clock: Clock) {
    this.#target = target;
    this.#appliances = appliances;
    this.#clock = clock;
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
    const one = this.#appliances.observe().find(({ id }) => id === this.#target.appliance);
    if (one === undefined) return undefined;
    const { cpuUsedMs, cpu, scheduling } = one;
    return {
      atMs: this.#clock.monotonic(),
      cpuUsedMs,
      ...(cpu === undefined ? {} : { cpu }),
      ...(scheduling === undefined ? {} : { misses: scheduling.misses }),
    };
  }
}
