import { cpus } from "node:os";
import { millis } from "#base/units.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { clock } from "../test/task/host.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";
import type { MachineBench } from "./machine-bench.ts";
import { phaseChart } from "./phase-chart.ts";
import type { PhaseSample } from "./phase-chart.ts";

const phaseMs = millis(4000);
const sampleMs = millis(100);

const limitMs = 290_000;

export const benchmark: Benchmark = {
  name: "vm-phases",
  about:
    "Processor time of the machine and of a guest while it is made, boots, idles, works, and is destroyed, as a chart too",
  async run({ signal: stop, progress }) {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(limitMs)]);
    const guest = await buildTinyGuest(guestCache, progress, subprocess, signal);
    await using bench = await openMachineBench(guest, signal);
    const { samples, rows } = await throughItsLife(bench, { signal, progress });
    for (const line of phaseChart(samples)) progress(line);
    return rows;
  },
};

async function throughItsLife(
  bench: MachineBench,
  { signal, progress }: BenchOptions,
): Promise<{ readonly samples: readonly PhaseSample[]; readonly rows: BenchRow[] }> {
  const rows: BenchRow[] = [];
  const meter = new Meter(bench);
  const phase = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
    progress(name);
    const before = meter.begin(name);
    const result = await work();
    const { tookMs, machine, guest } = meter.since(before);
    rows.push(
      rowOf(name, "takes", "ms", tookMs),
      rowOf(name, "machine, of all its processors", "%", machine),
      rowOf(name, "guest, of its one processor", "%", guest),
    );
    return result;
  };
  const over = new AbortController();
  const sampling = meter.sample(over.signal);
  // What else the machine does now is in all of what follows.
  await phase("before", () => clock.sleep(millis(1000), signal));
  const { plan } = await phase("create", () => bench.run("phases", 1, { start: "cold" }));
  await phase("boot", () => bench.answers(plan));
  // Its SSH server answers before the last of its services has begun.
  await phase("settle", () => clock.sleep(phaseMs, signal));
  await phase("idle", () => clock.sleep(phaseMs, signal));
  const work = { command: ["timeout", "4", "sh", "-c", "while :; do :; done"], env: {}, onOutput: () => {} };
  await phase("work", () => bench.driver.exec(plan.id, work, signal));
  await phase("destroy", () => bench.end(plan));
  await phase("after", () => clock.sleep(millis(1000), signal));
  over.abort();
  await sampling;
  return { samples: meter.samples, rows };
}

type Reading = { readonly at: number; readonly busyMs: number; readonly guestMs: number };
type Shares = { readonly tookMs: number; readonly machine: number; readonly guest: number };

class Meter {
  readonly samples: PhaseSample[] = [];
  readonly #bench: MachineBench;
  readonly #began: number = performance.now();
  #last: Reading;
  #phase = "";

  constructor(bench: MachineBench) {
    this.#bench = bench;
    this.#last = this.#read();
  }

  /** What was before belongs to the phase before. */
  begin(phase: string): Reading {
    this.#take();
    this.#phase = phase;
    return this.#last;
  }

  since(before: Reading): Shares {
    return sharesOf(before, this.#read());
  }

  async sample(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await clock.sleep(sampleMs, over).catch(() => {});
      this.#take();
    }
  }

  #take(): void {
    const now = this.#read();
    const shares = sharesOf(this.#last, now);
    const atMs = this.#last.at - this.#began;
    this.#last = now;
    if (this.#phase !== "") this.samples.push({ atMs, phase: this.#phase, ...shares });
  }

  #read(): Reading {
    const machines = this.#bench.driver.observe();
    return {
      at: performance.now(),
      busyMs: cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0),
      guestMs: machines.reduce((sum, { cpuUsedMs }) => sum + cpuUsedMs, 0),
    };
  }
}

/** A guest that is gone has used nothing more. */
function sharesOf(before: Reading, now: Reading): Shares {
  const tookMs = now.at - before.at;
  const share = (ms: number): number => (tookMs === 0 ? 0 : (100 * Math.max(0, ms)) / tookMs);
  return {
    tookMs,
    machine: share(now.busyMs - before.busyMs) / cpus().length,
    guest: share(now.guestMs - before.guestMs),
  };
}

const rowOf = (phase: string, metric: string, unit: string, value: number): BenchRow => ({
  case: `tiny guest: ${phase}`,
  metric,
  unit,
  reference: "-",
  aim: "-",
  value,
  low: value,
  high: value,
  ok: true,
});
