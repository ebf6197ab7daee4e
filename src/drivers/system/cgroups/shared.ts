import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Of a group above those of several owners, some of which were removed with all they had: what is left in it says how
 * much of real-time priority it holds and how much it weighs. `directory`: of any hierarchy.
 */
export function lowerShared(directory: string): void {
  for (const [name, valueOf] of [
    ["cpu.rt_runtime_us", roomIn],
    ["cpu.shares", (file: string) => heaviestIn(file, "1024")],
    ["cpu.weight", (file: string) => heaviestIn(file, "100")],
  ] as const) {
    const file = join(directory, name);
    try {
      if (existsSync(file)) writeFileSync(file, valueOf(file));
    } catch {
      // Another group comes or goes just now: whoever has it looks again.
    }
  }
}

/** The weight of the heaviest of the groups directly in the one whose file this is, and `usual` at least. */
export const heaviestIn = (file: string, usual: string): string =>
  String(Math.max(Number(usual), ...valuesIn(file)));
/** All of real-time priority that the groups directly in the one whose file this is have. */
export const roomIn = (file: string): string => String(valuesIn(file).reduce((sum, each) => sum + each, 0));

/** Of the groups directly in the one whose file this is. */
function valuesIn(file: string): readonly number[] {
  return groupsIn(dirname(file)).map((group) => Number(readFileSync(join(group, basename(file)), "utf8")));
}

/** Directories of the groups directly in that one. */
export function groupsIn(group: string): readonly string[] {
  return readdirSync(group, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(group, entry.name));
}
