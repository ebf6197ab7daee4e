import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { unitOfSource } from "#control/adaptation/metrics.ts";
import type { Unit } from "#control/adaptation/metrics.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { reservationUse } from "#control/monitor/reservation-use.ts";
import type { UseCount } from "#control/monitor/reservation-use.ts";
import type { EnforcementCounters } from "#drivers/scheduling/port.ts";
import type { Meter } from "./meter.ts";
import type { VirtualTaskMachine } from "./virtual-task-machine.ts";

/** What of a host is counted anyway. */
export type CountsOf = {
  counters(): readonly EnforcementCounters[];
  /** Ever; undefined where there are no control groups. */
  cpuUsedMs(machine: VirtualTaskMachine): Millis | undefined;
};

/**
 * Measures how a machine's reservation is used and kept: usage (CPU time used, of what is reserved; where there are control
 * groups) and misses (late slots per second; where a dispatch table keeps it).
 */
export class SchedulingMeter implements Meter {
  readonly name: string;
  readonly #machine: VirtualTaskMachine;
  readonly #host: CountsOf;
  readonly #clock: Clock;
  #before: UseCount;

  /** Throws `conflict` for a machine that has been destroyed, or has nothing reserved. */
  constructor(name: string, machine: VirtualTaskMachine, host: CountsOf, clock: Clock) {
    this.name = name;
    this.#machine = machine;
    this.#host = host;
    this.#clock = clock;
    this.#before = this.#count();
  }

  /** Throws as the constructor does. */
  read(): readonly Reading[] {
    const before = this.#before;
    this.#before = this.#count();
    return reservationUse(before, this.#before);
  }

  unitOf(metric: string): Unit | undefined {
    return unitOfSource("scheduling", metric);
  }

  #count(): UseCount {
    this.#machine.mustBeThere(`measure ${this.name}`);
    const reservation = this.#machine.getSchedParam();
    if (reservation === undefined)
      throw new ConsortError("conflict", `Cannot measure ${this.#machine.name}: it has no CPU time reserved`);
    const cpuUsedMs = this.#host.cpuUsedMs(this.#machine);
    const misses = this.#host.counters().find(({ id }) => id === this.#machine.name)?.misses;
    return {
      atMs: this.#clock.monotonic(),
      // Without a reservation to compare it with, use is not told.
      cpuUsedMs: cpuUsedMs ?? millis(0),
      ...(cpuUsedMs === undefined ? {} : { cpu: { kind: "reservation", ...reservation } as const }),
      ...(misses === undefined ? {} : { misses }),
    };
  }
}
