import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { parseTopology } from "#formats/topology.ts";
import { formatProblem } from "#formats/problem.ts";
import { netnsName, netnsPath } from "#lab/names.ts";
import type { Topology } from "#model/topology.ts";
import type { Rig } from "../test/rig/rig.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { withManagedLab } from "./managed-lab.ts";
import { equalSharesStage, niceStage, removeGroups } from "./video/alternatives.ts";
import type { Ground } from "./video/alternatives.ts";
import { calibrate } from "./video/calibrate.ts";
import { labFile, pictureText, writePrograms } from "./video/load.ts";
import type { Stage } from "./video/load.ts";
import { declaredStage, managedStage } from "./video/managed.ts";
import type { Moves } from "./video/managed.ts";
import { plot } from "./video/plot.ts";
import { podmanRuns, podmanStage } from "./video/podman.ts";
import { gainRow, lineOf, rowsOf } from "./video/rows.ts";
import { play } from "./video/run-stage.ts";
import type { Played } from "./video/run-stage.ts";

/**
 * The scenario of the reference page (vtm.md, Video on demand) with the programs of examples/video-on-demand.yaml: no
 * adaptation, only of the network, only of the CPU, both; then what the file's own strategies make of it; then the same
 * load as it is run today, with and without the cross traffic, as nothing of that keeps a cable.
 */
const lab = "benchvideo";
const timing = { startMs: 4_000, fourMs: 2_000, settleMs: 1_500, fiveMs: 6_000 };
const unadapted = "no adaptation";
const both = "CPU and network";
/** Each alone: the paper's four, then the file as it is, then what is used today. */
const cases = ["none", "network", "cpu", "both", "strategies", "nice", "shares", "podman"] as const;
type Case = (typeof cases)[number];
const plotFile = join(tmpdir(), "consort-video.svg");
const cgroups = systemCgroups(systemClock());

export const benchmark: Benchmark = {
  name: "video",
  about: "Films as MPEG-TS over RTP when a fifth comes: jitter, loss and packets at the receiver",
  cases,
  async run({ signal, progress, cases: asked }) {
    await wantFfmpeg(signal);
    await removeGroups(cgroups);
    const directory = mkdtempSync(join(tmpdir(), "consort-bench-video-"));
    try {
      return await withManagedLab(lab, labTopology(), signal, (rig) =>
        compare(rig, directory, { signal, progress }, (one) => asked?.has(one) ?? true),
      );
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function compare(
  rig: Rig,
  directory: string,
  { signal, progress }: BenchOptions,
  wants: (one: Case) => boolean,
): Promise<BenchRow[]> {
  writePrograms(directory);
  const crossed = await groundOf(rig, directory, signal);
  const { picture, filmMs } = await calibrate(crossed, signal);
  progress(`a picture of ${pictureText(picture)} takes ${filmMs.toFixed(2)} ms of CPU time every 40 ms`);
  const grounds = [crossed, { ...crossed, crossed: false }].map((ground) => ({ ...ground, picture }));
  const hasPodman = await podmanRuns(signal);
  if (wants("podman") && !hasPodman)
    progress("podman with runc is not here: apt-get install --no-install-recommends podman runc");
  const managed = (name: string, moves: Moves): Stage[] => [managedStage(name, rig, picture, moves)];
  const stages: Record<Case, () => readonly Stage[]> = {
    none: () => managed(unadapted, { cpu: false, bandwidth: false }),
    network: () => managed("network only", { cpu: false, bandwidth: true }),
    cpu: () => managed("CPU only", { cpu: true, bandwidth: false }),
    both: () => managed(both, { cpu: true, bandwidth: true }),
    strategies: () => [declaredStage("strategies of the file", rig, picture)],
    nice: () => grounds.map(niceStage),
    shares: () => grounds.map(equalSharesStage),
    podman: () => (hasPodman ? grounds.map(podmanStage) : []),
  };
  const played: Played[] = [];
  for (const stage of cases.filter(wants).flatMap((one) => stages[one]())) {
    const one = await play(stage, timing, signal);
    for (const line of [lineOf(one), ...one.remarks]) progress(line);
    played.push(one);
  }
  const [load = 0] = loadavg();
  progress(
    `load of the machine: ${load.toFixed(1)} on ${availableParallelism()} processors, some 3 of it ours`,
  );
  writeFileSync(plotFile, plot("Four films, then a fifth: deviation of every frame at the receiver", played));
  progress(`plotted in ${plotFile}`);
  const find = (name: string): Played[] => played.filter((one) => one.name === name);
  const gains = find(both).flatMap((ours) => find(unadapted).map((without) => gainRow(ours, without)));
  return [...rowsOf(played, both), ...gains];
}

async function wantFfmpeg(signal: AbortSignal): Promise<void> {
  try {
    await systemSubprocess().check("ffmpeg", ["-version"], signal);
  } catch (cause) {
    throw new Error("Cannot play films: no ffmpeg, wanted: apt-get install --no-install-recommends ffmpeg", {
      cause,
    });
  }
}

function labTopology(): Topology {
  const parsed = parseTopology(readFileSync(labFile, "utf8"), { file: labFile });
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.problems.map(formatProblem).join("\n"));
}

async function groundOf(rig: Rig, directory: string, signal: AbortSignal): Promise<Ground> {
  const hosts = await rig.hosts(signal);
  const viewer = hosts.find(({ id }) => id === "a2")?.address;
  if (viewer === undefined) throw new Error("host a2 has no address");
  return {
    servingNetns: netnsPath(netnsName(rig.lab, "a1")),
    viewingNetns: netnsPath(netnsName(rig.lab, "a2")),
    viewer,
    processor: availableParallelism() - 1,
    picture: { width: 1280, height: 720 },
    crossed: true,
    directory,
    cgroups,
  };
}
