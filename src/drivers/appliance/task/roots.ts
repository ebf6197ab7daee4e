import { existsSync, realpathSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

export const hostRoot = "/";

/** What an appliance's root is made of, and what of it is covered: paths as seen from inside. */
export type Root = { readonly image: string; readonly masks: readonly string[] };

/**
 * Of an appliance on a host on which appliances are not to see the directories `hidden`. Refused with `not_found` without
 * its directory, and `forbidden` where that would show what is hidden.
 */
export function rootFor(plan: AppliancePlan, hidden: readonly string[]): Root {
  const image = resolved(rootOf(plan));
  if (!existsSync(image)) {
    throw new ConsortError(
      "not_found",
      `Cannot create ${plan.id}: there is no ${image} on this host, a directory was wanted`,
    );
  }
  const masks = hiddenBelow(image, hidden);
  if (masks !== undefined) return { image, masks };
  throw new ConsortError(
    "forbidden",
    `Cannot create ${plan.id}: its image is in ${image}, which appliances are not to see`,
  );
}

/** A directory that is not there is told of when it is mounted. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

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
