import type { Random } from "#base/runtime.ts";
import type { Topology } from "#model/topology.ts";
import { adaptation } from "#sim/swarm/adaptations.ts";
import { between, chance, pick } from "#sim/swarm/draw.ts";
import { changedALittle, smallEnsemble } from "#sim/swarm/small-ensemble.ts";
import type { Step } from "#sim/swarm/swarm-case.ts";

const ensembles = ["shop", "mail", "grid"];

export type WorkloadShape = {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly steps: number;
  /** Share of runs in which a second cluster manager takes over at some moment. */
  readonly takeOvers: number;
  /** Share of steps that change what runs; absent: none in some of the runs, most of them in the others. */
  readonly adaptations?: number;
  /** Share of appliances that are virtual machines; absent: none. */
  readonly machines?: number;
  /** Share of steps that move virtual machines live; absent: none in some of the runs, half of them in the others. */
  readonly migrations?: number;
  /** Share of steps that take checkpoints, suspend machines to disk, resume or restore them; absent: as `migrations`. */
  readonly saves?: number;
};

/** What users and operators do, in order of time. The first thing is always an `up`. */
export function workload(random: Random, topology: Topology, shape: WorkloadShape): Step[] {
  const times = Array.from({ length: shape.steps }, () => between(random, shape.fromMs, shape.untilMs)).sort(
    (a, b) => a - b,
  );
  const used = ensembles.slice(0, between(random, 1, ensembles.length));
  const maintains = chance(random, 0.4);
  const { machines = 0 } = shape;
  const migrates = machines === 0 ? 0 : (shape.migrations ?? (chance(random, 0.5) ? 0.5 : 0));
  const saves = machines === 0 ? 0 : (shape.saves ?? (chance(random, 0.5) ? 0.5 : 0));
  const adapts = shape.adaptations ?? (chance(random, 0.6) ? 0.6 : 0);
  const steps: Step[] = [];
  for (const atMs of times) {
    const adapted = steps.length > 0 && chance(random, adapts) ? adapt(random, atMs, used, steps) : undefined;
    const moved =
      steps.length > 0 && migrates > 0 && chance(random, migrates)
        ? migrate(random, atMs, topology, steps)
        : undefined;
    const saved =
      steps.length > 0 && saves > 0 && chance(random, saves)
        ? save(random, atMs, topology, steps)
        : undefined;
    const next = steps.length === 0 ? undefined : step(random, atMs, used, maintains ? topology : undefined);
    steps.push(saved ?? moved ?? adapted ?? next ?? up(random, atMs, used, steps, machines));
  }
  if (chance(random, shape.takeOvers))
    steps.push({
      atMs: between(random, shape.fromMs, shape.untilMs),
      kind: "take-over",
      cluster: "cluster/2",
    });
  return steps.sort((a, b) => a.atMs - b.atMs);
}

/** A new form of one of them, or the form it has with little changed. */
function up(
  random: Random,
  atMs: number,
  names: readonly string[],
  before: readonly Step[],
  machines: number,
): Step {
  const name = pick(random, names);
  const newest = before.findLast((one) => one.kind === "up" && one.ensemble.name === name);
  const ensemble =
    newest?.kind === "up" && chance(random, 0.5)
      ? changedALittle(random, newest.ensemble)
      : smallEnsemble(random, name, machines);
  return { atMs, kind: "up", ensemble };
}

/** Of the newest form of one of them; undefined: there is none. */
function adapt(
  random: Random,
  atMs: number,
  names: readonly string[],
  before: readonly Step[],
): Step | undefined {
  const name = pick(random, names);
  const newest = before.findLast((one) => one.kind === "up" && one.ensemble.name === name);
  return newest?.kind === "up" ? adaptation(random, atMs, newest.ensemble) : undefined;
}

/** One of the machines of an ensemble that has any; undefined: there is none. */
function migrate(
  random: Random,
  atMs: number,
  topology: Topology,
  before: readonly Step[],
): Step | undefined {
  const all = machinesOf(before);
  if (all.length === 0) return undefined;
  const { name, appliance } = pick(random, all);
  const to = chance(random, 0.3) ? { to: pick(random, topology.hosts).id } : {};
  return { atMs, kind: "migrate", name, appliances: [appliance], ...to };
}

function machinesOf(steps: readonly Step[]): { readonly name: string; readonly appliance: string }[] {
  return steps.flatMap((one) => {
    if (one.kind !== "up") return [];
    const { name, appliances } = one.ensemble;
    return appliances.flatMap((spec) => (spec.kind === "vm" ? [{ name, appliance: spec.name }] : []));
  });
}

/** Checkpoints of machines, and what is done with them; undefined: there is no machine. */
function save(random: Random, atMs: number, topology: Topology, before: readonly Step[]): Step | undefined {
  const all = machinesOf(before);
  if (all.length === 0) return undefined;
  const { name, appliance } = pick(random, all);
  const appliances = chance(random, 0.3) ? [] : [appliance];
  const kind = pick(random, ["park", "park", "unpark", "unpark", "unpark", "checkpoint", "restore"] as const);
  switch (kind) {
    case "park":
      return { atMs, kind, name, appliances: [appliance] };
    case "unpark": {
      const to = chance(random, 0.4) ? { to: pick(random, topology.hosts).id } : {};
      return { atMs, kind, name, appliances, ...to };
    }
    case "checkpoint":
      return { atMs, kind, name, appliances, together: chance(random, 0.6) };
    default:
      return { atMs, kind, name, appliance };
  }
}

/** Undefined: something comes up. */
function step(
  random: Random,
  atMs: number,
  names: readonly string[],
  topology: Topology | undefined,
): Step | undefined {
  if (topology !== undefined && chance(random, 0.4)) {
    const host = pick(random, topology.hosts).id;
    const kind = pick(random, ["cordon", "uncordon", "uncordon", "drain", "drain", "cancel-drain"] as const);
    return { atMs, kind: chance(random, 0.1) ? "forget" : kind, host };
  }
  const drawn = random.next();
  if (drawn < 0.65) return undefined;
  return { atMs, kind: drawn < 0.85 ? "down" : "cancel", name: pick(random, names) };
}
