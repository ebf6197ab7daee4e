import type { Adjustment, ApplianceSpec } from "#model/ensemble.ts";

/** The fields of a spec that can be adjusted, appliance by appliance, while it runs. */
export const adjustable = ["cpu", "memoryBytes", "traffic", "suspended"] as const;

/** The spec as it holds for one appliance. The same object when nothing of it is adjusted. */
export function adjusted(spec: ApplianceSpec, adjustment: Adjustment | undefined): ApplianceSpec {
  if (adjustment === undefined) return spec;
  const { appliance: _appliance, suspended, ...changed } = adjustment;
  const { suspended: declared, ...rest } = spec;
  const held = suspended ?? declared ?? false;
  return { ...rest, ...changed, ...(held ? { suspended: true as const } : {}) };
}
