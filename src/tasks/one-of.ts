import { ConsortError } from "#base/errors.ts";

/** For programs whose words no compiler has checked. Throws `bad_input`. */
export function mustBeOneOf(what: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return;
  throw new ConsortError("bad_input", `Cannot use ${what} "${value}": it is one of ${allowed.join(", ")}`);
}

export const teamPolicies = ["round-robin", "together"] as const;
export const schedulingPolicies = ["rate-monotonic", "earliest-deadline-first"] as const;
export const enforcements = ["auto", "dispatch-table", "bandwidth", "deadline"] as const;
