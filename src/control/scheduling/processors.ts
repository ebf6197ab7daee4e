import type { MilliCpu } from "#base/units.ts";
import type { ProcessorCapacity } from "./reservation.ts";

/** Where a host of this capacity reserves: whole processors, and what is left over is the last one's. */
export function processorsOf(cpuMilli: MilliCpu): ProcessorCapacity[] {
  const whole = Array.from({ length: Math.floor(cpuMilli / 1000) }, () => ({ milli: 1000 }));
  const rest = cpuMilli % 1000;
  return rest === 0 ? whole : [...whole, { milli: rest }];
}
