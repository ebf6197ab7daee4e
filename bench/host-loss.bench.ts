import { systemClock } from "#drivers/system/clock.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import { millis } from "#base/units.ts";
import { lossEnsemble } from "../test/recovery/ensemble.ts";
import { overlaps, smallestGapMs } from "../test/recovery/intervals.ts";
import type { Life } from "../test/recovery/intervals.ts";
import { losses } from "../test/recovery/losses.ts";
import type { Loss } from "../test/recovery/losses.ts";
import { startWitness } from "../test/recovery/witness.ts";
import type { Witness } from "../test/recovery/witness.ts";
import { eventually } from "../test/rig/rig.ts";
import type { Rig } from "../test/rig/rig.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { withManagedLab } from "./managed-lab.ts";

/**
 * A host of a lab is lost while appliances run on it; a witness process reads what every instance of them stamps, every
 * 2 ms, with the machine's monotonic clock. From the loss until the last of them stamps on another host; and whether two
 * instances of one ever ran at once. Default settings.
 */
const rounds = 5;
const aimMs = 5000;
const pollMs = millis(20);
const clock = systemClock();
const moving = ["one", "two", "three"];
const published = "Kubernetes about 340 s, Proxmox 120 s, Nomad 20–30 s";

export const benchmark: Benchmark = {
  name: "host-loss",
  about: "loss of a host: until its appliances run elsewhere, and never twice, on 2 sites with 2 hosts",
  run: ({ signal, progress }) =>
    withManagedLab("benchloss", defaultLabTopology(2, 2), signal, async (rig) => {
      await using witness = startWitness(rig.stateDir);
      const places = Object.fromEntries(moving.map((name) => [name, ["a1", "a2"]]));
      await rig.up(lossEnsemble("loss", { ...places, peer: ["b1"] }), signal);
      const rows: BenchRow[] = [];
      for (const loss of losses) rows.push(await measure(rig, witness, loss, { signal, progress }));
      return [...rows, ...never(await witness.lives())];
    }),
};

async function measure(
  rig: Rig,
  witness: Witness,
  loss: Loss,
  { signal, progress }: BenchOptions,
): Promise<BenchRow> {
  const values: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await eventually("nothing is left to do", signal, () => settled(rig, signal));
    // All are kept together by what was lost before, but need not be: the host of one is the one to lose.
    const lost = await hostOf(rig, "one", signal);
    const there = await onHost(rig, lost, signal);
    const lostAtNs = process.hrtime.bigint();
    await loss.lose(rig, lost, signal);
    const ranAtNs = await ranElsewhere(witness, { there, lost, lostAtNs }, signal);
    values.push(Number(ranAtNs - lostAtNs) / 1e6);
    await loss.giveBack(rig, lost, signal);
    progress(`${loss.name}: ${values.at(-1)?.toFixed(0)} ms`);
  }
  const figures = range(values);
  return {
    case: loss.name,
    metric: "until all run elsewhere",
    unit: "ms",
    reference: published,
    aim: `<= ${aimMs}`,
    ...figures,
    ok: figures.value <= aimMs,
  };
}

async function settled(rig: Rig, signal: AbortSignal): Promise<boolean> {
  const hosts = await rig.hosts(signal);
  const { state } = await rig.status("loss", signal);
  return state === "running" && hosts.every((host) => host.state === "ready" && !host.fenced);
}

async function hostOf(rig: Rig, appliance: string, signal: AbortSignal): Promise<string> {
  const { appliances } = await rig.status("loss", signal);
  const host = appliances.find(({ name }) => name === appliance)?.host;
  if (host === undefined) throw new Error(`${appliance} is on no host`);
  return host;
}

async function onHost(rig: Rig, host: string, signal: AbortSignal): Promise<string[]> {
  const { appliances } = await rig.status("loss", signal);
  return appliances.filter((one) => one.host === host).map(({ name }) => name);
}

/** When the last of them stamped for the first time elsewhere. */
async function ranElsewhere(
  witness: Witness,
  { there, lost, lostAtNs }: { there: readonly string[]; lost: string; lostAtNs: bigint },
  signal: AbortSignal,
): Promise<bigint> {
  for (;;) {
    const lives = await witness.lives();
    const firsts = there.map(
      (name) =>
        lives.find((life) => life.appliance === name && life.host !== lost && life.firstNs > lostAtNs)
          ?.firstNs,
    );
    const known = firsts.filter((first) => first !== undefined);
    if (known.length === there.length) return known.reduce((a, b) => (a > b ? a : b));
    await clock.sleep(pollMs, signal);
  }
}

function never(lives: readonly Life[]): BenchRow[] {
  const twice = overlaps(lives).length;
  const gap = smallestGapMs(lives) ?? 0;
  const row = { case: "all of the above", reference: "-" };
  return [
    {
      ...row,
      metric: `instances of ${lives.length} that ran beside another of the same appliance`,
      unit: "instances",
      aim: "0",
      ...range([twice]),
      ok: twice === 0,
    },
    {
      ...row,
      metric: "smallest gap between two hosts' instances",
      unit: "ms",
      aim: "> 0",
      ...range([gap]),
      ok: gap > 0,
    },
  ];
}
