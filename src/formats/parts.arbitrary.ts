import fc from "fast-check";
import { bitsPerSecond } from "#base/units.ts";
import type { TrafficSpec } from "#model/ensemble.ts";

// What arbitrary ensembles are made of, whatever they are about.

export const name = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(-[a-z][a-z0-9]{0,3})?$/);

export const text = fc.string({ unit: "grapheme", maxLength: 60 }).map((value) => value.replaceAll("\0", ""));

export const plainRecord = <T extends object>(model: {
  [K in keyof T]: fc.Arbitrary<T[K]>;
}): fc.Arbitrary<T> => fc.record<T>(model, { noNullPrototype: true });

export const optional = <Key extends string, T>(
  key: Key,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<{ [K in Key]?: T }> =>
  fc.oneof(
    fc.constant({}),
    value.map((found) => Object.fromEntries([[key, found]]) as { [K in Key]?: T }),
  );

export const rate = fc.integer({ min: 1, max: 1e9 }).map(bitsPerSecond);

export const traffic: fc.Arbitrary<TrafficSpec> = fc
  .tuple(
    fc.constantFrom("gold", "best-effort"),
    optional("outBps", rate),
    optional("inBps", rate),
    optional("outCeilingBps", fc.integer({ min: 1e9, max: 2e9 }).map(bitsPerSecond)),
    optional("inCeilingBps", fc.integer({ min: 1e9, max: 2e9 }).map(bitsPerSecond)),
  )
  .map(([serviceClass, ...rates]) => Object.assign({ serviceClass }, ...rates) as TrafficSpec);
