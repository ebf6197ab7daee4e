import { ConsortError } from "#base/errors.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

export const hostRoot = "/";

/** The directory an appliance's root is made of, as its plan names it; symbolic links are the caller's to resolve. */
export function rootOf(plan: AppliancePlan): string {
  if (plan.image === undefined) return hostRoot;
  // Overlayfs takes its directories in a list of options, where these characters mean something.
  const path = /^dir:\/\/(\/[^:,\\]*)$/.exec(plan.image)?.[1];
  if (path !== undefined) return path;
  throw new ConsortError(
    "unsupported",
    `Cannot create ${plan.id}: its image is ${plan.image}, "dir:///path" was wanted for a task appliance`,
  );
}

/**
 * Which directories below `root` are to be hidden, as seen from inside it; undefined if all of it is: a root
 * inside a hidden directory would show what is not to be seen.
 */
export function hiddenBelow(root: string, hidden: readonly string[]): readonly string[] | undefined {
  const prefix = root === hostRoot ? "" : root;
  if (hidden.some((path) => root === path || root.startsWith(`${path}/`))) return undefined;
  return hidden.filter((path) => path.startsWith(`${prefix}/`)).map((path) => path.slice(prefix.length));
}
