import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { milliCpu } from "#base/units.ts";
import { parseScenario } from "#formats/scenario.ts";
import type { ApplianceSpec, Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import type { Event } from "#protocol/http/status.ts";
import type { Play, PlayStep } from "#sim/scenario/play.ts";
import { playScenario } from "#sim/scenario/run.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { eventually, startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";

/**
 * The experiment of five tasks with real processes: a host of four CPUs is a tenth of that here, as two of them have to
 * fit a small machine. What is decided has to be what the simulator decides; of processor time only ratios are looked
 * at, as others use the machine too.
 */
const lab = "fivetasks";
const scale = 10;
/** Not a limit on how quick it is, only on how long a hopeless wait lasts. */
const patience = { timeout: 300_000 };

/**
 * One busy loop, and all of them on one and the same processor: shares are kept where appliances meet, and how the
 * kernel spreads loops over several processors would be measured with them. Two hosts of 0.4 CPUs fit into one.
 */
const busy = [
  "sh",
  "-c",
  'taskset -cp "$(taskset -cp $$ | sed "s/.*: //; s/[,-].*//")" $$; while :; do :; done',
];

function published(): Play {
  const file = join(import.meta.dirname, "../../examples/five-tasks/five-tasks.scenario.yaml");
  const parsed = parseScenario(readFileSync(file, "utf8"), { file });
  assert.ok(parsed.ok);
  const { cloud, steps, ...scenario } = parsed.value;
  assert.ok(cloud.kind === "topology");
  const inline = steps.map((step): PlayStep => {
    if (step.kind !== "up") return step;
    assert.ok(step.ensemble.kind === "inline");
    return { ...step, ensemble: step.ensemble.ensemble };
  });
  const demand = scenario.demand.map(({ of, curve }) => {
    assert.ok(curve.kind !== "trace");
    return { of, curve };
  });
  return { ...scenario, topology: cloud.topology, steps: inline, load: [], demand };
}

function smaller(topology: Topology): Topology {
  const hosts = topology.hosts.map((host) => ({ ...host, cpuMilli: milliCpu(host.cpuMilli / scale) }));
  return { ...topology, hosts };
}

function real(ensemble: Ensemble): Ensemble {
  const appliances = ensemble.appliances.map((spec): ApplianceSpec => {
    assert.ok(spec.cpu?.kind === "share");
    const cpu = {
      kind: "share" as const,
      shareMilli: milliCpu(spec.cpu.shareMilli / scale),
      limitMilli: milliCpu(spec.cpu.limitMilli / scale),
    };
    return { ...spec, command: busy, cpu, stopGraceMs: 100 as never };
  });
  return { ...ensemble, appliances };
}

/** "task1/busy b": who began to run where, in order. */
const starts = (events: readonly Event[]): string[] =>
  events
    .filter(({ kind }) => kind === "appliance.running")
    .map(({ subject, message }) => `${subject} ${message.replace("running on ", "")}`);

/** Every event so far, and whatever comes until the signal aborts. */
async function collect(rig: Rig, into: Event[], signal: AbortSignal): Promise<void> {
  try {
    for await (const line of rig.client().lines("GET", "/v1/events?after=0", signal))
      if (line.startsWith("data: ")) into.push(JSON.parse(line.slice("data: ".length)) as Event);
  } catch (cause) {
    if (!signal.aborted) throw cause;
  }
}

/** Processor time a task's processes have used, in the kernel's ticks. */
async function ticks(rig: Rig, task: string, signal: AbortSignal): Promise<number> {
  const { stdout } = await rig.exec(task, "busy", ["sh", "-c", "cat /proc/[0-9]*/stat"], signal);
  return stdout
    .split("\n")
    .filter((line) => line.includes(") "))
    .map((line) => line.slice(line.lastIndexOf(") ") + 2).split(" "))
    .reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0);
}

/** So many ticks are used in all before a ratio is taken: some seconds. */
const enoughTicks = 500;

/** What each has used meanwhile, from the same moments on. */
async function usedMeanwhile(rig: Rig, tasks: readonly string[], signal: AbortSignal): Promise<number[]> {
  const look = () => Promise.all(tasks.map((task) => ticks(rig, task, signal)));
  const before = await look();
  let used = before.map(() => 0);
  await eventually(`${tasks.join(" and ")} to use processor time`, signal, async () => {
    used = (await look()).map((now, index) => now - (before[index] ?? 0));
    return used.reduce((sum, one) => sum + one, 0) >= enoughTicks;
  });
  return used;
}

test(
  "five tasks on two real hosts are put, moved and served as the simulator says",
  patience,
  async (context) => {
    const { signal } = context;
    const play = published();
    const simulated = await playScenario(play, { signal });
    assert.ok(simulated.breach === undefined && simulated.verdicts.every((verdict) => verdict.met));
    const wanted = starts(simulated.told);
    assert.deepEqual(wanted, [
      "task1/busy b",
      "task2/busy a",
      "task3/busy b",
      "task2/busy b",
      "task4/busy a",
      "task5/busy a",
    ]);

    const facts = await machineFacts(lab);
    const rig = await startRig(lab, smaller(play.topology), signal, { policy: play.policy });
    const listening = new AbortController();
    const events: Event[] = [];
    const collecting = collect(rig, events, listening.signal);
    const split = async (tasks: readonly string[], ratio: number): Promise<void> => {
      const used = await usedMeanwhile(rig, tasks, signal);
      const share = (used[0] ?? 0) / used.reduce((sum, one) => sum + one, 0);
      const told = `${tasks.join(" : ")} = ${used.join(" : ")} ticks, ${ratio} wanted of the first to the others`;
      context.diagnostic(told);
      assert.ok(Math.abs(share - ratio / (1 + ratio)) < 0.1, told);
    };
    try {
      const settled = (count: number) =>
        eventually(
          `${wanted.slice(0, count).join(", ")}; so far ${starts(events).join(", ")}`,
          signal,
          () => starts(events).length >= count,
        );
      const ensembles = new Map(
        play.steps.flatMap((step) =>
          step.kind === "up" ? [[String(step.ensemble.name), real(step.ensemble)]] : [],
        ),
      );
      const up = async (name: string, count: number): Promise<void> => {
        const ensemble = ensembles.get(name);
        assert.ok(ensemble);
        await rig.up(ensemble, signal);
        await settled(count);
      };
      await up("task1", 1);
      await up("task2", 2);
      // Promised two to one; as each is alone, each has its whole host.
      await split(["task1", "task2"], 1);
      await up("task3", 3);
      await split(["task1", "task3"], 3);
      await rig.down("task1", signal);
      await settled(4);
      await split(["task2", "task3"], 1.5);
      await up("task4", 5);
      await rig.down("task4", signal);
      await up("task5", 6);
      // Alone again, with as much as the two others have together.
      await split(["task5", "task2", "task3"], 1);
      assert.deepEqual(starts(events), wanted);
    } finally {
      listening.abort();
      await collecting;
      await rig.close();
    }
    assert.deepEqual(await machineFacts(lab), facts, "the machine is as it was");
  },
);
