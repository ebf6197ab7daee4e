import type { KnownClass } from "#drivers/network/shaping-steps.ts";

export type Classes = readonly (readonly [minor: number, KnownClass])[];

/** Rate, ceiling and priority of every class, with those of what it is part of; numbers do not matter. */
export function outlineOf(classes: Classes): readonly string[] {
  const byMinor = new Map(classes);
  const text = ({ rateBytes, ceilBytes, priority, parent }: KnownClass): string => {
    const whole = byMinor.get(parent);
    const own = `${rateBytes}/${ceilBytes}/${priority}`;
    return whole === undefined ? own : `${text(whole)} > ${own}`;
  };
  return classes.map(([, each]) => text(each)).toSorted();
}
