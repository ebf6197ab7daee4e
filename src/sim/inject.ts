import { ConsortError } from "#base/errors.ts";
import type { DiskState } from "#sim/drivers/disk.ts";
import type { Fault } from "#sim/fault.ts";
import type { HostSite } from "#sim/host-site.ts";
import type { Buses } from "#sim/drivers/bus.ts";
import type { SimulatedStore } from "#sim/drivers/store.ts";
import type { PlaceClock } from "#sim/kernel/place-clock.ts";
import type { SimulatedProcess } from "#sim/kernel/process.ts";

/** What faults act on. */
export type Injectable = {
  readonly buses: Buses;
  readonly store: SimulatedStore;
  /** Throw `not_found`. */
  readonly process: (name: string) => SimulatedProcess;
  readonly host: (id: string) => HostSite;
  readonly disk: (place: string) => DiskState;
  readonly clock: (place: string) => PlaceClock;
};

/**
 * Begins a fault at this moment. Returns what ends it, where it has an end of its own; processes and machines come
 * back by themselves.
 */
export function beginFault(fault: Fault, on: Injectable): (() => void) | undefined {
  switch (fault.kind) {
    case "crash":
      on.process(fault.process).crash(fault.downForMs);
      return undefined;
    case "crash-at-call":
      on.process(fault.process).crashAtCall(fault.call, fault.effect, fault.downForMs);
      return undefined;
    case "pause":
      on.process(fault.process).pause(fault.forMs);
      return undefined;
    case "power-loss":
      on.host(fault.host).losePower(fault.downForMs);
      return undefined;
    case "cut": {
      const { lasts, mend } = on.buses.wire.cut(fault.from, fault.to);
      on.buses.wasCut(lasts);
      return mend;
    }
    case "noise":
      return on.buses.wire.disturb(fault);
    case "slow-disk": {
      const disk = on.disk(fault.place);
      disk.delayMs += fault.delayMs;
      return () => {
        disk.delayMs -= fault.delayMs;
      };
    }
    case "full-disk": {
      const disk = on.disk(fault.place);
      disk.full = true;
      return () => {
        disk.full = false;
      };
    }
    case "store-down":
      on.store.isDown = true;
      return () => {
        on.store.isDown = false;
      };
    case "clock-skew": {
      const clock = on.clock(fault.place);
      clock.skew(fault.jumpMs, fault.driftPpm);
      return () => clock.skew(0, 0);
    }
    default:
      return fault satisfies never;
  }
}

/** How long it is felt, in ms. */
export function lengthOf(fault: Fault): number {
  return "forMs" in fault ? fault.forMs : fault.downForMs;
}

export function unknownPlace(place: string): ConsortError {
  return new ConsortError("not_found", `Cannot inject a fault: there is no "${place}" in this cloud`);
}
