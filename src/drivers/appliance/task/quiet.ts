import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

/** Of processor time, for each machine there is: as little as that of all of them together is not told at once. */
const unseenUsPerMachine = 10;
const unseenMsMax = millis(10_000);

/**
 * Tells by one reading of the group they all are in whether machines are worth reading one by one: a host with a thousand
 * idle ones would otherwise do little else.
 */
export class Quiet {
  readonly #all: Pick<Cgroup, "cpuUsedUs">;
  readonly #clock: Clock;
  #read: { readonly usedUs: number; readonly at: number } | undefined;

  constructor(all: Pick<Cgroup, "cpuUsedUs">, clock: Clock) {
    this.#all = all;
    this.#clock = clock;
  }

  /** False: all of them are to be read, which is taken as done. */
  isQuiet(machines: number): boolean {
    const usedUs = this.#usedUs();
    const at = this.#clock.monotonic();
    const before = this.#read;
    if (
      usedUs !== undefined &&
      before !== undefined &&
      Math.abs(usedUs - before.usedUs) < machines * unseenUsPerMachine &&
      at - before.at < unseenMsMax
    )
      return true;
    this.#read = usedUs === undefined ? undefined : { usedUs, at };
    return false;
  }

  #usedUs(): number | undefined {
    try {
      return this.#all.cpuUsedUs();
    } catch {
      // There is no such group, or none that counts.
      return undefined;
    }
  }
}
