import { mkdtempSync, rmSync } from "node:fs";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { mebibytes, millis, milliCpu } from "#base/units.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";

const runs = 25;
const reference = "17-47 (a container by crun)";
const clock = systemClock();

/** From the call of create() to what the command itself says the time is, without any network set up between. */
export const benchmark: Benchmark = {
  name: "task-start",
  about: "a task appliance, from create() to its command's first instruction",
  async run(options) {
    return [
      await measure("cold", 0, 20, options),
      await measure("from a pool of prepared namespaces", 2, 8, options),
    ];
  },
};

async function measure(
  name: string,
  poolSize: number,
  aimMs: number,
  { signal, progress }: BenchOptions,
): Promise<BenchRow> {
  const mark = `consort-bench-task-${process.pid}`;
  const host = {
    stateDir: mkdtempSync(`/var/lib/${mark}-`),
    cgroupParent: mark,
    netnsPrefix: `${mark}.`,
    cgroups: systemCgroups(clock),
    scheduler: createCpuScheduler({
      directory: `/run/${mark}`,
      layout: machineLayout(),
      processors: [{ milli: 1000 }],
      log: silentLog,
    }),
    clock,
    log: silentLog,
    poolSize,
  };
  const driver = new TaskDriver(host);
  const values: number[] = [];
  try {
    await driver.recover(signal);
    // One more than counted: the first also starts the helper process.
    for (let run = 0; run <= runs; run += 1) {
      await driver.poolFilled();
      const took = await firstInstruction(driver, signal);
      if (run > 0) values.push(took);
      await driver.destroy(plan.id, signal);
    }
  } finally {
    await driver.close();
    await clear(host);
  }
  const figures = range(values);
  progress(`${name}: ${figures.value.toFixed(1)} ms`);
  return {
    case: name,
    metric: "create to first instruction",
    unit: "ms",
    reference,
    aim: `<= ${aimMs}`,
    ...figures,
    ok: figures.value <= aimMs,
  };
}

/** Also when interrupted: what the driver kept ready lives on without it. */
async function clear(host: ConstructorParameters<typeof TaskDriver>[0]): Promise<void> {
  const { signal } = new AbortController();
  const sweeper = new TaskDriver({ ...host, poolSize: 0 });
  await sweeper.recover(signal);
  for (const one of sweeper.observe()) await sweeper.destroy(one.id, signal);
  await sweeper.close();
  await host.cgroups.open(host.cgroupParent).remove(signal);
  rmSync(host.stateDir, { recursive: true, force: true });
}

const plan: AppliancePlan = {
  id: applianceId(ensembleName("bench"), applianceName("task")),
  kind: "task",
  generation: "1",
  command: ["date", "+%s%N"],
  env: {},
  files: [{ path: "/etc/bench.conf", content: "a = 1\n", mode: 0o644 }],
  cpu: { kind: "share", shareMilli: milliCpu(250), limitMilli: milliCpu(1000) },
  memoryBytes: mebibytes(64),
  restart: { when: "never", backoffMsMin: millis(100), backoffMsMax: millis(1000) },
  stopGraceMs: millis(1000),
  interfaces: [],
};

async function firstInstruction(driver: TaskDriver, signal: AbortSignal): Promise<number> {
  const from = performance.timeOrigin + performance.now();
  await driver.create(plan, new Map([["web", "10.77.0.2"]]), signal);
  await driver.start(plan.id, signal);
  let output = "";
  while (!output.endsWith("\n")) {
    output = await driver.readLog(plan.id, 100, signal);
    await clock.sleep(millis(1), signal);
  }
  return Number(output) / 1e6 - from;
}
