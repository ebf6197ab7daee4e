import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";
import { measureLevels } from "./vm-levels.ts";

const runs = 5;
/** Of EMOTIVE's report: without a cache, with base images kept, with copies made beforehand. */
const reference = "EMOTIVE: 184.6 / 77.2 / 6.7 s";

const limitMs = 290_000;

export const benchmark: Benchmark = {
  name: "vm-create",
  about:
    "Making a Debian machine without cache and with levels 1 and 2, by stages; a tiny one that answers SSH as itself, booted and resumed (level 3)",
  async run({ signal: stop, progress }) {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(limitMs)]);
    const guest = await buildTinyGuest(guestCache, progress, subprocess, signal);
    await using bench = await openMachineBench(guest, signal);
    await bench.prepareWarm();
    const rows: BenchRow[] = [];
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
    rows.push(...(await measureLevels({ signal, progress })));
    return rows;
  },
};

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
