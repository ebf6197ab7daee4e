import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes, formatCpu, milliCpu } from "#base/units.ts";
import type { Promised } from "./port.ts";

/** What another program has promised; `program` names it for refusals. */
export type OthersPromise = Promised & { readonly program: string };

/** Throws `unsatisfiable` where others and this one would promise more than `has`. What does not grow is accepted. */
export function judge(
  action: string,
  own: { readonly before: Promised; readonly wanted: Promised },
  others: readonly OthersPromise[],
  has: Promised,
): void {
  const parts = [
    ["cpuMilli", (value: number) => formatCpu(milliCpu(value)), "of a processor"],
    ["memoryBytes", (value: number) => formatBytes(bytes(value)), "of memory"],
  ] as const;
  for (const [part, shown, unit] of parts) {
    const holders = others.filter((other) => other[part] > 0);
    const taken = holders.reduce((sum, other) => sum + other[part], 0);
    // One that is alone with it knows best why it may not have so much.
    if (holders.length === 0 || own.wanted[part] <= own.before[part]) continue;
    if (taken + own.wanted[part] <= has[part]) continue;
    const who = holders.map((other) => `${other.program} has ${shown(other[part])}`).join(", ");
    throw new ConsortError(
      "unsatisfiable",
      `Cannot ${action}: this program would have ${shown(own.wanted[part])} ${unit} reserved in all, of the ${shown(has[part])} of this machine other programs leave ${shown(Math.max(0, has[part] - taken))} (${who})`,
    );
  }
}
