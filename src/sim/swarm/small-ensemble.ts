import { ensembleName } from "#base/ids.ts";
import type { Random } from "#base/runtime.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu, millis } from "#base/units.ts";
import type { ApplianceSpec, CpuRequest, Ensemble, LinkSpec, PlacementRule } from "#model/ensemble.ts";
import { sampleVm } from "#model/sample-vm.ts";
import type { CheckpointPolicy } from "#model/vm.ts";
import { between, chance, pick, someOf } from "#sim/swarm/draw.ts";

const names = ["web", "db", "job"];

/**
 * One to four appliances with reservations and links; every field that changes how managers act is drawn. `machines`:
 * the share of them that are virtual machines.
 */
export function smallEnsemble(random: Random, name: string, machines = 0): Ensemble {
  const networks = chance(random, 0.25) ? ["lan", "back"] : ["lan"];
  const chosen = names.slice(0, between(random, 1, names.length));
  // Where there are no machines, none is drawn for: such clouds are what they are without them.
  const isMachine = (): boolean => machines > 0 && chance(random, machines);
  const appliances = chosen.map((one) =>
    isMachine() ? machine(random, one, networks) : appliance(random, one, networks),
  );
  return {
    name: ensembleName(name),
    appliances,
    networks: networks.map((network) => ({ name: network })),
    links: links(random, appliances),
    placement: rules(random, chosen),
  };
}

/** The same appliances; one of them with another policy, environment or reservation. */
export function changedALittle(random: Random, ensemble: Ensemble): Ensemble {
  const changed = pick(random, ensemble.appliances);
  const other = appliance(random, changed.name, changed.networks);
  const change = pick<Partial<ApplianceSpec>>(random, [
    { onHostLoss: changed.onHostLoss === "elsewhere" ? "in-place" : "elsewhere" },
    { onHostLoss: changed.onHostLoss === "elsewhere" ? "in-place" : "elsewhere" },
    { env: other.env },
    { priority: other.priority },
    { stopGraceMs: other.stopGraceMs },
    other.cpu === undefined ? {} : { cpu: other.cpu },
  ]);
  return {
    ...ensemble,
    appliances: ensemble.appliances.map((one) => (one === changed ? { ...one, ...change } : one)),
  };
}

function appliance(random: Random, name: string, networks: readonly string[]): ApplianceSpec {
  const image = chance(random, 0.2) ? { image: "dir:///srv/roots/small" } : {};
  return {
    name,
    kind: "task",
    replicas: chance(random, 0.25) ? 2 : 1,
    command: command(random),
    env: { version: String(between(random, 1, 3)) },
    files: [],
    ...(chance(random, 0.8) ? promised(random) : {}),
    ...(chance(random, 0.7) ? { memoryBytes: mebibytes(pick(random, [64, 128, 256, 400])) } : {}),
    ...image,
    networks: someOf(random, networks, 0.8),
    restart: {
      when: pick(random, ["always", "always", "on-failure", "never"] as const),
      backoffMsMin: millis(100),
      backoffMsMax: millis(2000),
    },
    onHostLoss: pick(random, ["elsewhere", "elsewhere", "elsewhere", "in-place"] as const),
    priority: between(random, 0, 9),
    placement: { labels: chance(random, 0.1) ? { disk: "ssd" } : {} },
    stopGraceMs: millis(pick(random, [0, 200, 1000, 3000])),
  };
}

/** It stays until it is told to stop, as machines do; mostly one that its host's loss does not end. */
function machine(random: Random, name: string, networks: readonly string[]): ApplianceSpec {
  const reserved = chance(random, 0.7) ? { cpu: cpu(random) } : {};
  const checkpoint: CheckpointPolicy = {
    everyMs: millis(pick(random, [1000, 3000])),
    copies: between(random, 1, 2),
    keep: 2,
  };
  return sampleVm(name, chance(random, 0.5) ? { checkpoint } : {}, {
    ...reserved,
    replicas: chance(random, 0.2) ? 2 : 1,
    env: { version: String(between(random, 1, 3)) },
    networks: someOf(random, networks, 0.8),
    restart: { when: "always", backoffMsMin: millis(100), backoffMsMax: millis(2000) },
    onHostLoss: pick(random, ["elsewhere", "elsewhere", "elsewhere", "in-place"] as const),
    priority: between(random, 0, 9),
    stopGraceMs: millis(pick(random, [0, 200, 1000])),
  });
}

/** Mostly a service; now and then a program that ends, or one that does not listen when told to stop. */
function command(random: Random): readonly string[] {
  if (chance(random, 0.75)) return ["stay"];
  const code = pick(random, ["0", "1"]);
  return pick(random, [["exit", code], ["end", String(between(random, 100, 5000)), code], ["stubborn"]]);
}

function cpu(random: Random): CpuRequest {
  const milli = pick(random, [50, 100, 200, 400]);
  if (chance(random, 0.3))
    return { kind: "reservation", periodUs: micros(100_000), executionUs: micros(milli * 100) };
  return { kind: "share", shareMilli: milliCpu(milli), limitMilli: milliCpu(milli * 2) };
}

/** Reservations per period now and then kept by time slots, one processor each. */
function promised(random: Random): Pick<ApplianceSpec, "cpu" | "enforcement"> {
  const drawn = cpu(random);
  return drawn.kind === "reservation" && chance(random, 0.5)
    ? { cpu: drawn, enforcement: "dispatch-table" }
    : { cpu: drawn };
}

function links(random: Random, appliances: readonly ApplianceSpec[]): LinkSpec[] {
  return appliances.slice(1).flatMap((to, index): LinkSpec[] => {
    const from = appliances[index];
    if (from === undefined || chance(random, 0.3)) return [];
    if (!from.networks.some((network) => to.networks.includes(network))) return [];
    const bandwidthBps = megabitsPerSecond(pick(random, [1, 5, 20, 40]));
    return [
      {
        from: from.name,
        to: to.name,
        priority: 4,
        ...(chance(random, 0.8) ? { bandwidthBps } : {}),
        ...(chance(random, 0.2) ? { latency: "low" as const } : {}),
      },
    ];
  });
}

function rules(random: Random, appliances: readonly string[]): PlacementRule[] {
  if (appliances.length < 2 || chance(random, 0.75)) return [];
  return [
    { rule: pick(random, ["together", "apart"] as const), scope: "host", appliances: appliances.slice(0, 2) },
  ];
}
