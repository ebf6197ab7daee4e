import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Digest } from "#model/image.ts";
import { mebibytes } from "#base/units.ts";
import { systemGuestBuilder } from "#drivers/guest/builder.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { VmPlan } from "#protocol/host-plan.ts";
import type { VmReport } from "#protocol/host-report.ts";
import { clock } from "../test/task/host.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import { range } from "./harness.ts";
import type { BenchOptions, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";
import type { MachineBench } from "./machine-bench.ts";

/**
 * EMOTIVE's table: a Debian guest with software, home and swap is made without any cache, with its images kept (level
 * 1), and with its layers ready-made (level 2). Its boot is another benchmark's: a machine counts as there when its
 * guest's first instruction is carried out.
 */
const runs = 3;
const debian = { name: "debian", suite: "bookworm", packages: [], diskBytes: 2 * 1024 ** 3 };
const own = { homeBytes: mebibytes(1024), swapBytes: mebibytes(256) };
const imageWorkAimMs = 50;

const steps = [
  "download base system",
  "create base image",
  "copy base image",
  "copy software image",
  "create home and swap",
  "load image",
  "total",
] as const;
type Step = (typeof steps)[number];
type Times = Partial<Record<Step, number>>;

/** In seconds, as it was published. */
const published: Readonly<Record<"no cache" | "level 1" | "level 2", Times>> = {
  "no cache": {
    "download base system": 88.1,
    "create base image": 68.4,
    "copy software image": 13.9,
    "create home and swap": 13.7,
    "load image": 4.4,
    total: 184.6,
  },
  "level 1": {
    "copy base image": 45.2,
    "copy software image": 13.9,
    "create home and swap": 13.7,
    "load image": 4.4,
    total: 77.2,
  },
  "level 2": {
    "copy base image": 2.3,
    "copy software image": 0,
    "create home and swap": 0,
    "load image": 4.4,
    total: 6.7,
  },
};
export type Level = keyof typeof published;

/** Without "no cache" its images are those that were built before, which are looked for first. */
export async function measureLevels(
  levels: readonly Level[],
  { signal: limit, progress }: BenchOptions,
): Promise<readonly BenchRow[]> {
  const cache = mkdtempSync("/var/lib/consort-bench-guests-");
  try {
    const anew = levels.includes("no cache");
    if (anew) progress("no cache: building the Debian guest");
    const built = await build(anew ? cache : guestCache, cache, limit);
    const rows = [];
    for (const level of levels) {
      const all: Times[] = [];
      for (let run = 1; run <= (level === "no cache" ? 1 : runs); run += 1) {
        progress(`${level} ${run}`);
        const made = await makeOne(built, level, run, limit);
        all.push(level === "no cache" ? { ...made, ...built.times } : made);
      }
      rows.push(...rowsOf(level, all));
    }
    return rows;
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

type Built = { readonly guest: BuiltGuest; readonly tools: BuiltGuest; readonly times: Times };

/** Into an empty cache, packages and all, or as it is in a cache. `workshop`: for what is made on the way. */
async function build(cache: string, workshop: string, signal: AbortSignal): Promise<Built> {
  const builder = systemGuestBuilder(cache, subprocess);
  const marks = new Map<string, number>();
  const beganAt = performance.now();
  const guest = await builder.debian(debian, (step) => void marks.set(step, performance.now()), signal);
  const debianAt = performance.now();
  const directory = join(workshop, "tools");
  mkdirSync(directory);
  writeFileSync(join(directory, "hello"), "of the software image\n");
  const tools = await builder.software({ name: "tools", packages: [], directory }, () => {}, signal);
  const softwareMs = performance.now() - debianAt;
  // Its packages are fetched and installed by one program.
  const installedAt = marks.get("unpacking the kernel") ?? debianAt;
  const times = {
    "download base system": installedAt - beganAt,
    "create base image": debianAt - installedAt,
    "copy software image": softwareMs,
  };
  return { guest, tools, times };
}

async function makeOne(built: Built, level: Level, run: number, signal: AbortSignal): Promise<Times> {
  await using undo = new AsyncDisposableStack();
  const directory = mkdtempSync("/var/lib/consort-bench-spool-");
  undo.defer(() => rmSync(directory, { recursive: true, force: true }));
  const files = new Map([...built.guest.files, ...built.tools.files]);
  const guest = { image: built.guest.image, files };
  const layers = spooledLayers({
    directory: join(directory, "spool"),
    make: layerMaker(subprocess),
    clock,
    random: systemRandom(),
    log: silentLog,
  });
  undo.defer(() => layers.close());
  await layers.recover(signal);
  const vm: Partial<VmPlan> = { ...own, software: [built.tools.image] };
  if (level === "level 2") {
    layers.expect({ base: guest.image, ...own });
    await layers.settled(signal);
  }
  const blobs = { has: () => true, path: (digest: Digest) => files.get(digest) ?? "" };
  const storage = machineStorage({ layers, blobs });
  const bench = undo.use(await openMachineBench(guest, signal, storage));
  const software = [...built.tools.files.values()][0] ?? "";
  const linkMs = timeOf(() => linkSync(software, join(directory, basename(software))));
  const { plan, runsMs } = await bench.run(`levels-${run}`, run, { start: "cold", vm });
  const times = timesOf(stagesOf(bench, plan.id), runsMs, linkMs);
  await bench.end(plan);
  return times;
}

function timeOf(work: () => void): number {
  const beganAt = performance.now();
  work();
  return performance.now() - beganAt;
}

const stagesOf = ({ driver }: MachineBench, id: string): VmReport["stages"] =>
  driver.observe().find((one) => one.id === id)?.vm?.stages ?? [];

/** Without a build: content is there under its digest, and a machine gets another name of it. */
function timesOf(stages: VmReport["stages"], runsMs: number, linkMs: number): Times {
  const sum = (kinds: readonly string[]): number =>
    stages
      .filter(({ stage }) => kinds.some((kind) => stage.startsWith(`${kind}:`)))
      .reduce((total, { tookMs }) => total + tookMs, 0);
  const [root, others] = [sum(["root"]), sum(["home", "swap"])];
  return {
    "copy base image": root,
    "copy software image": linkMs,
    "create home and swap": others,
    "load image": runsMs - root - others,
  };
}

function rowsOf(level: Level, all: readonly Times[]): BenchRow[] {
  const complete = all.map((times): Times => {
    const total = Object.values(times).reduce((sum, one) => sum + one, 0);
    return { ...times, total };
  });
  const rows = steps.flatMap((step): BenchRow[] => {
    const values = complete.flatMap((times) => times[step] ?? []);
    const reference = published[level][step];
    if (values.length === 0) return [];
    return [rowOf(level, step, values, reference === undefined ? "-" : `EMOTIVE: ${reference} s`)];
  });
  if (level !== "level 2") return rows;
  const work = complete.map(
    (times) =>
      (times["copy base image"] ?? 0) +
      (times["copy software image"] ?? 0) +
      (times["create home and swap"] ?? 0),
  );
  return [...rows, rowOf(level, "image work", work, "EMOTIVE: 2.3 s", imageWorkAimMs)];
}

function rowOf(
  level: Level,
  metric: string,
  values: readonly number[],
  reference: string,
  aimMs?: number,
): BenchRow {
  const figures = range(values);
  return {
    case: `Debian, software, home, swap: ${level}`,
    metric,
    unit: "ms",
    reference,
    aim: aimMs === undefined ? "-" : `<= ${aimMs}`,
    ...figures,
    ok: aimMs === undefined || figures.value <= aimMs,
  };
}
