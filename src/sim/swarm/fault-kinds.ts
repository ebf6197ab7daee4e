import type { Random } from "#base/runtime.ts";
import type { Fault } from "#sim/fault.ts";
import { between, chance, lasting, pick } from "#sim/swarm/draw.ts";

/** What there is to break in a cloud. */
export type Breakable = {
  readonly hosts: readonly string[];
  readonly processes: readonly string[];
  /** How long it stays broken; machines and clocks up to twice as long. */
  readonly lastsMs: readonly [least: number, most: number];
};

/** Omit over a union, kind by kind. */
type Drawn<One> = One extends unknown ? Omit<One, "atMs"> : never;
type FaultDraw = (random: Random, there: Breakable) => Drawn<Fault>;

const clustersOf = (there: Breakable): string[] =>
  there.processes.filter((name) => name.startsWith("cluster/"));

const clusterOrHost = (random: Random, there: Breakable): string =>
  chance(random, 0.4) ? pick(random, clustersOf(there)) : pick(random, there.processes);

/** One draw for each kind of fault: how a fault of that kind is made up. */
export const faultKinds: { readonly [Kind in Fault["kind"]]: FaultDraw } = {
  crash: (random, there) => ({
    kind: "crash",
    process: clusterOrHost(random, there),
    downForMs: lasting(random, ...there.lastsMs),
  }),
  "crash-at-call": (random, there) => ({
    kind: "crash-at-call",
    process: clusterOrHost(random, there),
    call: between(random, 1, 40),
    effect: pick(random, ["none", "done"] as const),
    downForMs: lasting(random, ...there.lastsMs),
  }),
  pause: (random, there) => ({
    kind: "pause",
    process: clusterOrHost(random, there),
    forMs: lasting(random, ...there.lastsMs),
  }),
  "power-loss": (random, there) => ({
    kind: "power-loss",
    host: pick(random, there.hosts),
    downForMs: lasting(random, there.lastsMs[0], 2 * there.lastsMs[1]),
  }),
  cut: (random, there) => ({
    kind: "cut",
    ...cutEnds(random, there),
    forMs: lasting(random, ...there.lastsMs),
  }),
  noise: (random, there) => ({
    kind: "noise",
    forMs: lasting(random, ...there.lastsMs),
    lost: random.next() * 0.3,
    doubled: random.next() * 0.3,
    delayMsMax: lasting(random, 10, 3000),
  }),
  "slow-disk": (random, there) => ({
    kind: "slow-disk",
    place: pick(random, [...there.hosts, "store", "store"]),
    delayMs: lasting(random, 10, 3000),
    forMs: lasting(random, ...there.lastsMs),
  }),
  "full-disk": (random, there) => ({
    kind: "full-disk",
    place: pick(random, [...there.hosts, "store"]),
    forMs: lasting(random, ...there.lastsMs),
  }),
  "store-down": (random, there) => ({ kind: "store-down", forMs: lasting(random, ...there.lastsMs) }),
  "clock-skew": (random, there) => ({
    kind: "clock-skew",
    place: pick(random, [...there.hosts, ...clustersOf(there), "store"]),
    jumpMs: between(random, -3_600_000, 3_600_000),
    driftPpm: between(random, -driftPpmMax, driftPpmMax),
    forMs: lasting(random, there.lastsMs[0], 2 * there.lastsMs[1]),
  }),
};

/** Crystals are within 100, virtual machines are not. */
const driftPpmMax = 10_000;

function cutEnds(random: Random, there: Breakable): { from: string; to: string } {
  if (chance(random, 0.25)) return { from: pick(random, clustersOf(there)), to: "store" };
  const one = pick(random, there.processes);
  const other = chance(random, 0.5) ? "*" : pick(random, there.processes);
  return chance(random, 0.5) ? { from: one, to: other } : { from: other, to: one };
}
