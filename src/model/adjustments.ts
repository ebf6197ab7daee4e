import type { Adjustment, ApplianceSpec } from "#model/ensemble.ts";

/** The spec as it holds for one appliance. The same object when nothing of it is adjusted. */
export function adjusted(spec: ApplianceSpec, adjustment: Adjustment | undefined): ApplianceSpec {
  if (adjustment === undefined) return spec;
  const { appliance: _appliance, suspended, ...changed } = adjustment;
  const { suspended: declared, ...rest } = spec;
  const held = suspended ?? declared ?? false;
  return { ...rest, ...changed, ...(held ? { suspended: true as const } : {}) };
}
