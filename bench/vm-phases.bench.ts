import { cpus } from "node:os";
import { millis } from "#base/units.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { clock } from "../test/task/host.ts";
import { guestCache, subprocess } from "../test/vm/guest-machine.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { openMachineBench } from "./machine-bench.ts";
import type { MachineBench } from "./machine-bench.ts";

const phaseMs = millis(4000);

const limitMs = 290_000;

export const benchmark: Benchmark = {
  name: "vm-phases",
  about:
    "Processor time of the machine and of a guest while it is made and boots, idles, works, and is destroyed",
  async run({ signal: stop, progress }) {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(limitMs)]);
    const guest = await buildTinyGuest(guestCache, progress, subprocess, signal);
    await using bench = await openMachineBench(guest, signal);
    const rows: BenchRow[] = [];
    const phase = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
      progress(name);
      const before = { at: performance.now(), host: busyMs(), guest: guestMs(bench) };
      const result = await work();
      const elapsedMs = performance.now() - before.at;
      const share = (ms: number): number => (100 * Math.max(0, ms)) / elapsedMs;
      rows.push(
        rowOf(name, "takes", "ms", elapsedMs),
        rowOf(name, "machine, all processors", "%", share(busyMs() - before.host)),
        rowOf(name, "guest", "%", share(guestMs(bench) - before.guest)),
      );
      return result;
    };
    const { plan } = await phase("create and boot", () => bench.begin("phases", 1, "cold"));
    // Its SSH server answers before the last of its services has begun.
    await phase("begins its other services", () => clock.sleep(phaseMs, signal));
    await phase("idle", () => clock.sleep(phaseMs, signal));
    await phase("work", () =>
      bench.driver.exec(
        plan.id,
        { command: ["timeout", "4", "sh", "-c", "while :; do :; done"], env: {}, onOutput: () => {} },
        signal,
      ),
    );
    await phase("destroy", () => bench.end(plan));
    return rows;
  },
};

/** What all processors together have worked; 100% is one of them. */
const busyMs = (): number =>
  cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);

const guestMs = ({ driver }: MachineBench): number =>
  driver.observe().reduce((sum, { cpuUsedMs }) => sum + cpuUsedMs, 0);

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
