import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { ConsortError } from "#base/errors.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import { labDown, labUp } from "#lab/lab.ts";
import { formatFigure, range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";

/**
 * A lab's network up and down again, against Mininet doing as much with the same number of hosts, turn by turn.
 * Both as whole processes from start to exit. Ours shapes every link and sets budgets; Mininet here does not.
 */
const hostCounts = [4, 16, 64];
const runs = 5;
const labName = "benchlab";

export const benchmark: Benchmark = {
  name: "lab",
  about: "Lab network set-up and tear-down for 4, 16 and 64 hosts, and Mininet's in the same run",
  run: async (options) => {
    const rows: BenchRow[] = [];
    for (const hosts of hostCounts) rows.push(...(await compare(hosts, options)));
    return rows;
  },
};

async function compare(hosts: number, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const ours: number[] = [];
  const mininets: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const topology = ["--topo", `single,${hosts}`, "--test", "none"];
    mininets.push(await timed("mn", ["--switch", "lxbr", "--controller", "none", ...topology], signal));
    ours.push(await timed(process.execPath, [import.meta.filename, String(hosts)], signal));
    progress(
      `${hosts} hosts, run ${run + 1} of ${runs}: ${formatFigure(ours.at(-1) ?? 0)} ms, Mininet ${formatFigure(mininets.at(-1) ?? 0)} ms`,
    );
  }
  const figures = range(ours);
  const theirs = range(mininets);
  const share = figures.value / theirs.value;
  const about = { case: `${hosts} hosts`, reference: `Mininet, same run: ${formatFigure(theirs.value)} ms` };
  return [
    {
      ...about,
      metric: "up and down",
      unit: "ms",
      aim: "<= half of Mininet's",
      ...figures,
      ok: share <= 0.5,
    },
    {
      ...about,
      metric: "up and down / Mininet's",
      unit: "ratio",
      aim: "<= 0.5",
      ...range(ours.map((value, index) => value / (mininets[index] ?? Number.NaN))),
      ok: share <= 0.5,
    },
  ];
}

/** Milliseconds from start to exit. */
async function timed(file: string, args: readonly string[], signal: AbortSignal): Promise<number> {
  const began = performance.now();
  const child = spawn(file, args, { stdio: ["ignore", "ignore", "pipe"], signal });
  const words: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => words.push(chunk));
  const [code] = (await once(child, "exit")) as [number | null];
  const elapsedMs = performance.now() - began;
  // Mininet says on standard error what it does, and exits with 0 also when a program it needs is missing.
  const said = Buffer.concat(words).toString();
  if (code !== 0 || said.includes("Cannot find")) {
    throw new ConsortError(
      "driver_failed",
      `Cannot measure ${file} ${args.join(" ")}: exit ${code}: ${said}`,
    );
  }
  return elapsedMs;
}

async function upAndDown(hosts: number): Promise<void> {
  const root = await mkdtemp(`${tmpdir()}/consort-bench-`);
  const clock = systemClock();
  const machine = {
    clock,
    log: silentLog,
    random: systemRandom(),
    subprocess: systemSubprocess(),
    cgroups: systemCgroups(clock),
  };
  const place = { name: labName, stateRoot: `${root}/state`, runRoot: `${root}/run`, machine };
  const { signal } = new AbortController();
  try {
    await labUp({ ...place, topology: defaultLabTopology(1, hosts), managers: false }, signal);
  } finally {
    await labDown(place, signal);
    await rm(root, { recursive: true, force: true });
  }
}

if (import.meta.main) await upAndDown(Number(process.argv[2]));
