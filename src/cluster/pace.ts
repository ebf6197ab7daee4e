import { limits } from "#base/limits.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

/** How often hosts report, how long a lease lasts, and how long a host is silent before it counts as lost. */
export type Pace = {
  readonly heartbeatMs: Millis;
  readonly leaseMs: Millis;
  /** Longer than the lease by what it takes to act on its end, at whatever speed two clocks run. */
  readonly silenceMs: Millis;
};

/**
 * One cluster manager listens to at most `reportsPerSecondMax`: in a large cloud all of it slows down together, and
 * the loss of a host is noticed later.
 */
export function paceFor(hosts: number): Pace {
  return slowedBy(Math.max(1, (hosts * 1000) / (limits.reportsPerSecondMax * limits.heartbeatMs)));
}

/** The pace at which leases of this length are granted. */
export const paceWithLease = (leaseMs: number): Pace => slowedBy(Math.max(1, leaseMs / limits.leaseMs));

export const slower = (a: Pace, b: Pace): Pace => (a.leaseMs >= b.leaseMs ? a : b);

function slowedBy(factor: number): Pace {
  return {
    heartbeatMs: millis(Math.ceil(limits.heartbeatMs * factor)),
    leaseMs: millis(Math.ceil(limits.leaseMs * factor)),
    silenceMs: millis(Math.ceil(limits.hostSilenceMsMax * factor)),
  };
}
