import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { HostPlan } from "#protocol/host-plan.ts";

/**
 * How long one that is to go has to end by itself. None where it is set back to a checkpoint: what it would still write
 * is thrown away with the rest of it.
 */
export function graceOf(
  { appliances }: Pick<HostPlan, "appliances">,
  { id, generation, stopGraceMs }: Pick<ApplianceObservation, "id" | "generation" | "stopGraceMs">,
): Millis {
  const wanted = appliances.find((one) => one.id === id);
  const isSetBack = wanted?.vm?.restore !== undefined && declared(wanted.generation) === declared(generation);
  return isSetBack ? millis(0) : stopGraceMs;
}

/** What stands behind it counts restores. */
const declared = (generation: string): string | undefined => generation.split("+")[0];
