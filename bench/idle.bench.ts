import { readFileSync } from "node:fs";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Rig } from "../test/rig/rig.ts";
import { cpuSeconds } from "./cpu-seconds.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { ensembleOf, withManagedLab } from "./managed-lab.ts";

/** Five appliances that do nothing, linked in a ring; the managers do what they do when nobody asks for anything. */
const settleMs = millis(10_000);
const windowMs = millis(20_000);
const windows = 3;
const memoryAimMib = 80;
const cpuAimPercent = 1;
const clock = systemClock();

const managers = [
  { name: "host manager, 5 appliances", manager: "host-a1" },
  { name: "host manager of a gateway, one tunnel", manager: "host-gw-alpha" },
] as const;

type Use = { readonly residentMib: number; readonly proportionalMib: number; readonly cpuPercent: number };

export const benchmark: Benchmark = {
  name: "idle",
  about: "Memory and CPU of host managers when nothing happens, three times 20 s",
  run: ({ signal, progress }) =>
    withManagedLab("benchidle", defaultLabTopology(2, 1), signal, async (rig) => {
      await rig.up(ensemble, signal);
      await clock.sleep(settleMs, signal);
      const uses = await measure(rig, { signal, progress });
      return managers.flatMap(({ name, manager }) => rows(name, uses.get(manager) ?? []));
    }),
};

async function measure(rig: Rig, { signal, progress }: BenchOptions): Promise<Map<string, Use[]>> {
  const uses = new Map<string, Use[]>(managers.map(({ manager }) => [manager, []]));
  const pids = managers.map(({ manager }) => {
    const pid = rig.managerPid(manager);
    if (pid === undefined) throw new Error(`Cannot measure ${manager}: it does not run`);
    return { manager, pid };
  });
  for (let window = 0; window < windows; window += 1) {
    const before = pids.map(({ pid }) => cpuSeconds(pid));
    const began = clock.monotonic();
    await clock.sleep(windowMs, signal);
    const seconds = (clock.monotonic() - began) / 1000;
    for (const [index, { manager, pid }] of pids.entries()) {
      const used = cpuSeconds(pid) - (before[index] ?? 0);
      uses.get(manager)?.push({ ...memoryOf(pid), cpuPercent: (100 * used) / seconds });
    }
    progress(`window ${window + 1} of ${windows}`);
  }
  return uses;
}

function rows(name: string, uses: readonly Use[]): BenchRow[] {
  const row = (metric: string, unit: string, aim: number, read: (use: Use) => number): BenchRow => {
    const figures = range(uses.map(read));
    return {
      case: name,
      metric,
      unit,
      reference: "-",
      aim: `<= ${aim}`,
      ...figures,
      ok: figures.value <= aim,
    };
  };
  return [
    row("resident set", "MiB", memoryAimMib, (use) => use.residentMib),
    row(
      "proportional set (what is shared with others counted in part)",
      "MiB",
      memoryAimMib,
      (use) => use.proportionalMib,
    ),
    row("CPU, of one core, helper programs included", "%", cpuAimPercent, (use) => use.cpuPercent),
  ];
}

function memoryOf(pid: number): { residentMib: number; proportionalMib: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  const mebibytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1]) / 1024;
  return { residentMib: mebibytes("Rss"), proportionalMib: mebibytes("Pss") };
}

const names = ["one", "two", "three", "four", "five"];
const ensemble = ensembleOf(`
ensemble: idle
appliances:
${names.map((name) => `  ${name}: { command: sleep infinity, memory: 32MiB, hosts: [a1] }`).join("\n")}
  far: { command: sleep infinity, memory: 32MiB, hosts: [b1] }
links:
${names.map((name, index) => `  - { between: [${name}, ${names[(index + 1) % names.length]}], bandwidth: 10Mbit/s }`).join("\n")}
  - { between: [one, far], bandwidth: 10Mbit/s }
`);
