import { ConsortError } from "#base/errors.ts";

/** For programs whose words no compiler has checked. Throws `bad_input`. */
export function mustBeOneOf(what: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return;
  throw new ConsortError("bad_input", `Cannot use ${what} "${value}": it is one of ${allowed.join(", ")}`);
}

/** Of machines and teams. */
export const resourceName = /^[a-z0-9][a-z0-9.-]{0,62}$/i;
export const resourceNameRule =
  "a name is at most 63 letters, digits, dots and hyphens, and begins with a letter or digit";
