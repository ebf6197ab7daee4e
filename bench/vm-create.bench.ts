import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";
import { measurePeers, resuming } from "./peer-boots.ts";
import { measureLevels } from "./vm-levels.ts";

const runs = 5;
/** Of EMOTIVE's report: without a cache, with base images kept, with copies made beforehand. */
const reference = "EMOTIVE: 184.6 / 77.2 / 6.7 s";

/** Of which building the Debian guest anew takes a third on a machine with nothing else to do. */
const limitMs = 720_000;
const cases = ["no-cache", "level-1", "level-2", "level-3"] as const;

export const benchmark: Benchmark = {
  name: "vm-create",
  about:
    "Making a Debian machine without cache and with levels 1 and 2, by stages; a tiny one that answers SSH as itself, booted and resumed (level 3), beside libvirt",
  cases,
  async run({ signal: stop, progress, cases: asked }) {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(limitMs)]);
    const wants = (one: (typeof cases)[number]): boolean => asked === undefined || asked.has(one);
    const options = { signal, progress };
    const rows: BenchRow[] = [];
    if (wants("level-3")) rows.push(...(await measureTiny(options)));
    const levels = (["no cache", "level 1", "level 2"] as const).filter((level) =>
      wants(level === "no cache" ? "no-cache" : level === "level 1" ? "level-1" : "level-2"),
    );
    if (levels.length > 0) rows.push(...(await measureLevels(levels, options)));
    return rows;
  },
};

/** Booted and resumed in one run, and by libvirt beside it. */
async function measureTiny({ signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const guest = await buildTinyGuest(guestCache, progress, subprocess, signal);
  const rows: BenchRow[] = [];
  {
    await using bench = await openMachineBench(guest, signal);
    await bench.prepareWarm();
    for (const start of ["cold", "warm"] as const) {
      const times = new Map<string, number[]>();
      const add = (metric: string, value: number): void =>
        void times.set(metric, [...(times.get(metric) ?? []), value]);
      for (let run = 1; run <= runs; run += 1) {
        progress(`${start} ${run} of ${runs}`);
        const begun = await bench.begin(`${start}-${run}`, run, start);
        const report = bench.driver.observe().find(({ id }) => id === begun.plan.id)?.vm;
        add("request → slot made", begun.createdMs);
        for (const { stage, tookMs } of report?.stages ?? []) add(`stage: ${stage}`, tookMs);
        const identityMs = report?.stages.find(({ stage }) => stage === "identity taken on")?.tookMs ?? 0;
        add("request → guest runs", begun.runsMs - identityMs);
        add("request → answers SSH as itself", begun.answersMs);
        await bench.end(begun.plan);
      }
      for (const [metric, values] of times) rows.push(rowOf(start, metric, values));
    }
  }
  return [...rows, ...(await measurePeers(resuming, guest, runs, { signal, progress }))];
}

const aims: Readonly<Record<string, number>> = {
  "warm request → guest runs": 100,
  "warm request → answers SSH as itself": 700,
  "cold request → answers SSH as itself": 3000,
};

function rowOf(start: "cold" | "warm", metric: string, values: readonly number[]): BenchRow {
  const aim = aims[`${start} ${metric}`];
  const figures = range(values);
  return {
    case: start === "cold" ? "tiny, booted" : "tiny, resumed (level 3)",
    metric,
    unit: "ms",
    reference: metric.endsWith("itself") ? reference : "-",
    aim: aim === undefined ? "-" : `<= ${aim}`,
    ...figures,
    ok: aim === undefined || figures.value <= aim,
  };
}
