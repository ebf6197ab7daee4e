import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { ApplianceDriver, ApplianceObservation } from "#drivers/appliance/port.ts";

type Look = { readonly atMs: Millis; readonly byId: ReadonlyMap<ApplianceId, ApplianceObservation> };

/** A look at all appliances, shared by those who want to see one of them at about the same time. */
export class Observed {
  readonly #appliances: Pick<ApplianceDriver, "observe">;
  readonly #clock: Clock;
  #last: Look | undefined;

  constructor(appliances: Pick<ApplianceDriver, "observe">, clock: Clock) {
    this.#appliances = appliances;
    this.#clock = clock;
  }

  /** Not older than that. */
  look(ageMsMax: number): Look {
    const atMs = this.#clock.monotonic();
    if (this.#last !== undefined && atMs - this.#last.atMs <= ageMsMax) return this.#last;
    this.#last = { atMs, byId: new Map(this.#appliances.observe().map((one) => [one.id, one])) };
    return this.#last;
  }
}
