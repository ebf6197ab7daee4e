import type { Random } from "#base/runtime.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import type { Move, Size } from "#cluster/adjusting.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Appliance } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { chance, pick, someOf } from "#sim/swarm/draw.ts";
import type { Step } from "#sim/swarm/swarm-case.ts";

/** Something is changed of what runs: its sizes, from one to another, or whether it runs. */
export function adaptation(random: Random, atMs: number, ensemble: Ensemble): Step {
  const { name } = ensemble;
  const appliances = appliancesOf(ensemble);
  if (chance(random, 0.5)) {
    const names = chance(random, 0.2) ? [] : someOf(random, appliances, 0.4).map((one) => one.name);
    return { atMs, kind: pick(random, ["suspend", "resume", "resume"] as const), name, appliances: names };
  }
  const reserved = appliances.filter(({ spec }) => spec.cpu !== undefined);
  if (reserved.length > 1 && chance(random, 0.5)) {
    return { atMs, kind: "resize", name, sizes: {}, moves: [moveBetween(random, reserved)] };
  }
  const sizes = Object.fromEntries(
    someOf(random, appliances, 0.4).map((one) => [one.name, sizeOf(random, one)]),
  );
  return { atMs, kind: "resize", name, sizes, moves: [] };
}

function moveBetween(random: Random, appliances: readonly Appliance[]): Move {
  const from = pick(random, appliances);
  const to = pick(
    random,
    appliances.filter((one) => one !== from),
  );
  return {
    kind: "move-cpu",
    executionUs: micros(pick(random, [1000, 5000, 20_000])),
    from: from.name,
    to: to.name,
  };
}

function sizeOf(random: Random, { spec }: Appliance): Size {
  const milli = pick(random, [25, 100, 300, 600]);
  const cpu =
    spec.cpu === undefined
      ? {}
      : spec.cpu.kind === "share"
        ? { cpu: { ...spec.cpu, shareMilli: milliCpu(milli), limitMilli: milliCpu(milli * 2) } }
        : { cpu: { ...spec.cpu, executionUs: micros((spec.cpu.periodUs * milli) / 1000) } };
  return {
    ...cpu,
    ...(spec.memoryBytes === undefined || chance(random, 0.5)
      ? {}
      : { memoryBytes: mebibytes(pick(random, [32, 100, 300])) }),
    ...(chance(random, 0.3) ? { outBps: megabitsPerSecond(pick(random, [1, 3, 10])) } : {}),
  };
}
