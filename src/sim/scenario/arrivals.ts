import { ensembleName } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { exponential } from "#sim/scenario/gaussian.ts";
import type { PlayLoad, PlayStep } from "#sim/scenario/play.ts";

/** Arrivals one load may bring in one run. */
export const arrivalsMost = 1_000_000;

/**
 * When the ensembles of a load arrive and leave: intervals and, where asked for, lifetimes are exponential. In order of
 * time. One whose life outlasts the run never leaves.
 */
export function arrivals(load: PlayLoad, durationMs: number, random: Random): PlayStep[] {
  const steps: PlayStep[] = [];
  const most = Math.min(load.most, arrivalsMost);
  const untilMs = load.untilMs ?? durationMs;
  let atMs = load.fromMs + exponential(random, 1 / load.perMs);
  for (let number = 1; number <= most && atMs < untilMs; number += 1) {
    const name = ensembleName(`${load.ensemble.name}-${number}`);
    steps.push({
      kind: "up",
      atMs: millis(Math.round(atMs)),
      byChance: true,
      ensemble: { ...load.ensemble, name },
    });
    const leavesMs = atMs + lifetimeMs(load.lifetime, random);
    if (leavesMs < durationMs)
      steps.push({ kind: "down", atMs: millis(Math.round(leavesMs)), byChance: true, ensemble: name });
    atMs += exponential(random, 1 / load.perMs);
  }
  return steps.toSorted((a, b) => a.atMs - b.atMs);
}

function lifetimeMs(lifetime: PlayLoad["lifetime"], random: Random): number {
  switch (lifetime.kind) {
    case "for-ever":
      return Number.POSITIVE_INFINITY;
    case "fixed":
      return lifetime.ms;
    case "exponential":
      return exponential(random, lifetime.meanMs);
    default:
      return lifetime satisfies never;
  }
}
