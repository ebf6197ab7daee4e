import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";

/** Why a leased appliance is not started: the next lease makes it possible. */
export function noLease(id: ApplianceId): ConsortError {
  return new ConsortError("unavailable", `Cannot start ${id}: its host has no lease from the managers`);
}
