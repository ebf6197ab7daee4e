import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";

const ours = /^consort-doctor-(\d+)(?:-[a-z]+)?$/;

/** What the probes of process `pid` call their groups. */
export const groupName = (pid: number): string => `consort-doctor-${pid}`;

/**
 * Removes groups of probes that were killed before they could: their processes went with them. Nothing is ended for it, so
 * a group that is in use after all stays, and so does what this user may not remove.
 */
export function removeAbandonedGroups(layout: CgroupLayout, isRunning: (pid: number) => boolean): void {
  const points = new Set([...Object.values(layout.v1), ...(layout.v2 === undefined ? [] : [layout.v2])]);
  for (const point of points) {
    for (const name of groupsIn(point)) {
      const pid = ours.exec(name)?.[1];
      if (pid !== undefined && !isRunning(Number(pid))) removeEmpty(join(point, name));
    }
  }
}

function removeEmpty(group: string): void {
  for (const name of groupsIn(group)) removeEmpty(join(group, name));
  try {
    rmdirSync(group);
  } catch {
    // In use, gone meanwhile, or not for this user to remove.
  }
}

function groupsIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
