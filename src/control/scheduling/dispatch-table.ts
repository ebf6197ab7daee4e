import type { Micros } from "#base/units.ts";
import type { SchedulingPolicy } from "./reservation.ts";

/** What one slot is given to: a machine, and in it the team at the end of `path` (empty: the machine itself). */
export type DispatchTarget = { readonly machine: string; readonly path: readonly string[] };

/**
 * Who runs in which slot, per processor, over one hyperperiod; it repeats. `slots[p][i]` is a position in `targets`,
 * or -1 where the processor is left to whoever else is there.
 */
export type DispatchTable = {
  readonly quantumUs: Micros;
  readonly policy: SchedulingPolicy;
  readonly targets: readonly DispatchTarget[];
  readonly slots: readonly Int32Array[];
};
