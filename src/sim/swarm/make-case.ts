import type { Random } from "#base/runtime.ts";
import { seededRandom } from "#base/seeded-random.ts";
import type { Fault } from "#sim/fault.ts";
import { between, chance } from "#sim/swarm/draw.ts";
import { allFaultKinds, drawFaults } from "#sim/swarm/faults.ts";
import { smallCloud } from "#sim/swarm/small-cloud.ts";
import type { SwarmCase } from "#sim/swarm/swarm-case.ts";
import { workload } from "#sim/swarm/workload.ts";

/** What a swarm's seeds have in common; each seed draws its own cloud, workload and faults within it. */
export type SwarmProfile = {
  readonly kinds: readonly Fault["kind"][];
  /** Of these kinds, the share that one seed has, drawn between the two. */
  readonly kindShare: readonly [least: number, most: number];
  readonly steps: readonly [least: number, most: number];
  readonly faults: readonly [least: number, most: number];
  readonly faultMs: readonly [least: number, most: number];
  /** Virtual ms within which users act and faults begin. */
  readonly activeMs: number;
  /** Share of runs in which a second cluster manager takes over. */
  readonly takeOvers: number;
  /** Share of steps that resize, suspend or resume what runs; absent: some seeds have many, the others none. */
  readonly adaptations?: number;
  /** Share of appliances that are virtual machines; absent: none. */
  readonly machines?: number;
  /** Share of steps that move virtual machines live; absent: none in some of the seeds, half of them in the others. */
  readonly migrations?: number;
  /** Share of steps that take checkpoints, suspend to disk, resume and restore; absent: as `migrations`. */
  readonly saves?: number;
  /** Share of runs in which hosts are emptied that others have room for. */
  readonly consolidations: number;
};

export const swarmProfile: SwarmProfile = {
  kinds: allFaultKinds,
  kindShare: [0.2, 0.8],
  steps: [2, 12],
  faults: [0, 14],
  /** Up to longer than a lease, the silence that follows it, and the time to take over. */
  faultMs: [100, 15_000],
  activeMs: 25_000,
  takeOvers: 0.4,
  machines: 0.3,
  consolidations: 0.25,
};

/** Hosts have come up by then. */
const firstStepMs = 500;

export function makeCase(seed: number, profile: SwarmProfile = swarmProfile): SwarmCase {
  const random = seededRandom(seed);
  const topology = smallCloud(random);
  const steps = workload(random, topology, {
    fromMs: firstStepMs,
    untilMs: profile.activeMs,
    steps: between(random, ...profile.steps),
    takeOvers: profile.takeOvers,
    ...(profile.adaptations === undefined ? {} : { adaptations: profile.adaptations }),
    ...(profile.machines === undefined ? {} : { machines: profile.machines }),
    ...(profile.migrations === undefined ? {} : { migrations: profile.migrations }),
    ...(profile.saves === undefined ? {} : { saves: profile.saves }),
  });
  const hosts = [
    ...topology.hosts.map((host) => host.id),
    ...topology.devices.filter((device) => device.kind === "gateway").map((device) => device.id),
  ];
  const [leastShare, mostShare] = profile.kindShare;
  const later = steps.find((step) => step.kind === "take-over");
  const clusters = ["cluster/1", ...(later === undefined ? [] : [later.cluster])];
  const faults = drawFaults(
    random,
    {
      hosts,
      processes: [...clusters, ...hosts.map((host) => `host/${host}`)],
      lastsMs: profile.faultMs,
    },
    {
      fromMs: 0,
      untilMs: profile.activeMs,
      faults: between(random, ...profile.faults),
      kinds: profile.kinds,
      kindShare: leastShare + (mostShare - leastShare) * random.next(),
    },
  );
  const begun = later === undefined ? faults : faults.map((fault) => notBefore(fault, later));
  // Last of all: without it a seed's case is what it is with it.
  const policy = chance(random, profile.consolidations) ? { policy: packing(random) } : {};
  return { seed, topology, steps, faults: begun.toSorted((a, b) => a.atMs - b.atMs), ...policy };
}

const packing = (random: Random): NonNullable<SwarmCase["policy"]> => ({
  placement: chance(random, 0.7) ? "pack" : "spread",
  consolidate: true,
});

/** Nothing happens to a cluster manager before it is started. */
function notBefore(fault: Fault, { cluster, atMs }: { cluster: string; atMs: number }): Fault {
  const names: readonly unknown[] = Object.values(fault);
  return names.includes(cluster) && fault.atMs <= atMs ? { ...fault, atMs: atMs + 1 } : fault;
}
