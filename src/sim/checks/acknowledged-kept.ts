import { codeOf } from "#base/errors.ts";
import type { Breach } from "#sim/checks/breach.ts";
import type { Call } from "#sim/client.ts";

/** What is desired of one subject, as text: an ensemble's digest, a host's scheduling, or `absent`. */
export type Desire = string;
export const absent: Desire = "absent";

/** One change a user asked for: what is desired if it was made. */
export type Change =
  | { readonly call: Pick<Call, "state" | "error">; readonly desires: readonly Desire[] }
  /** What is desired then depends on what was before; undefined: that cannot be changed so. */
  | {
      readonly call: Pick<Call, "state" | "error">;
      readonly becomes: (before: Desire) => Desire | readonly Desire[] | undefined;
    }
  /** Goes back to what was desired after so many of the subject's changes. */
  | { readonly call: Pick<Call, "state" | "error">; readonly goesBackTo: number };

/**
 * What may be desired of a subject after these changes, asked for one after the other. An acknowledged change leaves
 * nothing of what was before; one of which nothing is known may have been made or not; a refused one was not made.
 */
export function allowedDesires(changes: readonly Change[]): ReadonlySet<Desire> {
  const after: ReadonlySet<Desire>[] = [new Set([absent])];
  for (const change of changes) {
    const before = after.at(-1) ?? new Set();
    const made = madeOf(change, before, after);
    const { state } = change.call;
    if (state === "answered") after.push(made);
    else if (state === "refused" && isCertain(change.call.error)) after.push(before);
    else after.push(before.union(made));
  }
  return after.at(-1) ?? new Set();
}

function madeOf(
  change: Change,
  before: ReadonlySet<Desire>,
  after: readonly ReadonlySet<Desire>[],
): ReadonlySet<Desire> {
  if ("goesBackTo" in change) return after[change.goesBackTo] ?? before;
  if ("desires" in change) return new Set(change.desires);
  return new Set([...before].flatMap((one) => change.becomes(one) ?? []));
}

/** A refusal after which the change cannot have been made; others may hide that it was. */
function isCertain(error: unknown): boolean {
  return certain.has(codeOf(error));
}
const certain: ReadonlySet<string> = new Set([
  "unsatisfiable",
  "conflict",
  "not_found",
  "bad_input",
  "limit_exceeded",
]);

/** Something else is desired of the subject than its users were told. */
export function acknowledgedLost(
  subject: string,
  changes: readonly Change[],
  stored: Desire,
  describe: (desire: Desire) => string = (desire) => desire,
): Breach | undefined {
  const allowed = allowedDesires(changes);
  if (allowed.has(stored)) return undefined;
  return {
    invariant: "acknowledged-kept",
    message: `of ${subject} the store has ${describe(stored)}, and acknowledged was ${[...allowed].map(describe).join(" or ")}`,
  };
}

/** A change was acknowledged, and the store does not have its operation. */
export function acknowledgedTooEarly(
  subject: string,
  operation: string,
  isStored: boolean,
): Breach | undefined {
  if (isStored) return undefined;
  return {
    invariant: "acknowledged-kept",
    message: `operation ${operation} on ${subject} was acknowledged and is not in the store`,
  };
}
