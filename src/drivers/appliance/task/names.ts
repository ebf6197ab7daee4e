import type { ApplianceId } from "#base/ids.ts";

/** "shop/web-2" → "web-2": its host name, and what it is called inside its ensemble. */
export function applianceNameOf(id: ApplianceId): string {
  return id.slice(id.lastIndexOf("/") + 1);
}

/** A slot's control group, below the host's. */
export const slotGroup = (cgroupParent: string, index: number): string => `${cgroupParent}/task-${index}`;

/** The inverse of `slotGroup`, from a group's name alone. */
export function slotOfGroup(name: string): number | undefined {
  const match = /^task-(\d+)$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export const netnsDirectory = "/run/netns";
export const slotNetns = (prefix: string, index: number): string => `${netnsDirectory}/${prefix}${index}`;

/** The inverse of `slotNetns`, from the file's name. */
export function slotOfNetns(prefix: string, name: string): number | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const rest = name.slice(prefix.length);
  return /^\d+$/.test(rest) ? Number(rest) : undefined;
}
