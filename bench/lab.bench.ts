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
import { median } from "#base/quantiles.ts";
import { formatFigure, range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";

/**
 * A lab's network up and down again, against Mininet doing as much with the same number of hosts, turn by turn.
 * Twice: by each program's own clock, and as whole processes, interpreters starting included. Ours also shapes every
 * link, sets budgets and has a gateway and a router; Mininet here has hosts and a switch.
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

type Timing = { readonly ownMs: number; readonly processMs: number };

async function compare(hosts: number, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const ours: Timing[] = [];
  const mininets: Timing[] = [];
  const topology = ["--topo", `single,${hosts}`, "--test", "none"];
  const cache = await mkdtemp(`${tmpdir()}/consort-bench-cache-`);
  try {
    // The first of ours fills the cache that the command line has filled after its first call.
    await timed(process.execPath, [import.meta.filename, "1"], cache, signal);
    for (let run = 0; run < runs; run += 1) {
      mininets.push(
        await timed("mn", ["--switch", "lxbr", "--controller", "none", ...topology], cache, signal),
      );
      ours.push(await timed(process.execPath, [import.meta.filename, String(hosts)], cache, signal));
      progress(`${hosts} hosts, run ${run + 1} of ${runs}`);
    }
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
  return [
    row(hosts, "up and down", ours, mininets, ({ ownMs }) => ownMs),
    row(hosts, "up and down, from process start to exit", ours, mininets, ({ processMs }) => processMs),
  ];
}

function row(
  hosts: number,
  metric: string,
  ours: readonly Timing[],
  mininets: readonly Timing[],
  read: (timing: Timing) => number,
): BenchRow {
  const figures = range(ours.map(read));
  const reference = median(mininets.map(read));
  return {
    case: `${hosts} hosts`,
    metric,
    unit: "ms",
    reference: `Mininet, same run: ${formatFigure(reference)} ms`,
    aim: "<= half of Mininet's",
    ...figures,
    ok: figures.value <= reference / 2,
  };
}

/** Both programs say how long they took: "completed in 0.270 seconds". */
async function timed(
  file: string,
  args: readonly string[],
  compileCacheDir: string,
  signal: AbortSignal,
): Promise<Timing> {
  const began = performance.now();
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_COMPILE_CACHE: compileCacheDir },
    signal,
  });
  const words: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => words.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => words.push(chunk));
  const [code] = (await once(child, "close")) as [number | null];
  const processMs = performance.now() - began;
  const said = Buffer.concat(words).toString();
  const seconds = /completed in ([\d.]+) seconds/.exec(said)?.[1];
  if (code !== 0 || seconds === undefined) {
    throw new ConsortError(
      "driver_failed",
      `Cannot measure ${file} ${args.join(" ")}: exit ${code}: ${said}`,
    );
  }
  return { ownMs: Number(seconds) * 1000, processMs };
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
  const began = performance.now();
  try {
    await labUp({ ...place, topology: defaultLabTopology(1, hosts), managers: false }, signal);
  } finally {
    await labDown(place, signal);
    console.log(`completed in ${(performance.now() - began) / 1000} seconds`);
    await rm(root, { recursive: true, force: true });
  }
}

if (import.meta.main) await upAndDown(Number(process.argv[2]));
