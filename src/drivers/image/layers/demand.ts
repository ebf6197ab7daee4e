import type { LayerShape } from "./port.ts";
import { layerLimits } from "./limits.ts";
import { shapeKey } from "./shapes.ts";

/** When layers of each shape were asked for, in milliseconds of one clock. */
export type Demand = ReadonlyMap<string, { readonly shape: LayerShape; readonly askedMs: readonly number[] }>;

/** With one more request; times that no longer count are forgotten. */
export function withRequest(demand: Demand, shape: LayerShape, nowMs: number): Demand {
  const key = shapeKey(shape);
  const before = demand.get(key)?.askedMs.slice(1 - layerLimits.spoolPerShapeMax) ?? [];
  return new Map([...demand, [key, { shape, askedMs: [...before, nowMs] }]]);
}

/**
 * How many of each shape are to be ready: as many as were taken of late and one more, of the shapes used last. What is
 * not named is not to be kept.
 */
export function targets(demand: Demand, nowMs: number): ReadonlyMap<string, number> {
  const live = [...demand]
    .map(([key, { askedMs }]) => ({ key, askedMs, lastMs: askedMs.at(-1) ?? -Infinity }))
    .filter(({ lastMs }) => nowMs - lastMs < layerLimits.spoolIdleMs)
    .sort((a, b) => b.lastMs - a.lastMs)
    .slice(0, layerLimits.spoolShapesMax);
  return new Map(
    live.map(({ key, askedMs }) => {
      const lately = askedMs.filter((asked) => nowMs - asked < layerLimits.spoolDemandMs).length;
      return [key, Math.min(layerLimits.spoolPerShapeMax, lately + 1)];
    }),
  );
}

export type SpoolFile = { readonly name: string; readonly key: string; readonly takenBytes: number };

/** What the spool does next: first it gives back, then it makes one at a time, the shape that lacks most first. */
export function nextSpoolStep(
  wanted: ReadonlyMap<string, number>,
  files: readonly SpoolFile[],
):
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "make"; readonly key: string }
  | undefined {
  const counts = new Map<string, number>();
  for (const { key } of files) counts.set(key, (counts.get(key) ?? 0) + 1);
  const surplus = files.find(({ key }) => !wanted.has(key));
  if (surplus !== undefined) return { kind: "remove", name: surplus.name };
  const taken = files.reduce((sum, each) => sum + each.takenBytes, 0);
  if (taken >= layerLimits.spoolBytesMax) return undefined;
  const lacking = [...wanted]
    .map(([key, count]) => ({ key, lacks: count - (counts.get(key) ?? 0) }))
    .filter(({ lacks }) => lacks > 0)
    .sort((a, b) => b.lacks - a.lacks)[0];
  return lacking === undefined ? undefined : { kind: "make", key: lacking.key };
}
