import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { median, quantile } from "#base/quantiles.ts";
import { micros } from "#base/units.ts";
import type { Reservation } from "#control/scheduling/reservation.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import type { CpuScheduler, EnforcementKind } from "#drivers/scheduling/port.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { startJobs } from "./busy-jobs.ts";
import { measurePeers } from "./cpu-peers.ts";
import type { Peer } from "./cpu-peers.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";

/** Of the publication, in ms, per number of machines that run. */
const references: readonly (readonly [machines: number, ms: number])[] = [
  [1, 0.099],
  [2, 0.099],
  [20, 0.436],
  [200, 212.74],
];
const kinds: readonly EnforcementKind[] = ["bandwidth", "dispatch-table"];
const runs = 5;
const changes = 200;
const changesOfAll = 20;
const aimMs = 0.02;
const aimAllMs = 1.5;
const timesFaster = 100;
const clock = systemClock();
const never = new AbortController().signal;

/** From the call of `adapt`, admission included, until the kernel or the dispatcher's table has the new reservations. */
export const benchmark: Benchmark = {
  name: "cpu-adaptation",
  about: "CPU reservations moved between running machines, beside what others take to change one limit",
  async run({ signal, progress }): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    const medians: number[] = [];
    for (const kind of kinds) {
      for (const [machines, reference] of references) {
        signal.throwIfAborted();
        progress(`${kind}, ${machines} machines`);
        const measured = await measure(kind, machines, reference);
        rows.push(...measured);
        medians.push(...measured.slice(0, 1).map((row) => row.value));
      }
    }
    const slowest = Math.max(...medians);
    rows.push(...(await measurePeers({ signal, progress })).map((peer) => peerRowOf(peer, slowest)));
    return rows;
  },
};

/** How many times faster ours is; of one that does not run here only why not. */
function peerRowOf({ name, values, absent }: Peer, slowestMs: number): BenchRow {
  const row = { case: name, unit: "times", aim: `ours >= ${timesFaster} times faster` };
  if (absent !== undefined)
    return {
      ...row,
      metric: `does not run here: ${absent}`,
      reference: "-",
      ...range([Number.NaN]),
      ok: true,
    };
  const { value, low, high } = range(values);
  return {
    ...row,
    metric: `change of one CPU limit (ours at its slowest: ${slowestMs.toFixed(4)} ms)`,
    reference: `${value.toFixed(1)} ms`,
    value: value / slowestMs,
    low: low / slowestMs,
    high: high / slowestMs,
    ok: value / slowestMs >= timesFaster,
  };
}

async function measure(kind: EnforcementKind, machines: number, reference: number): Promise<BenchRow[]> {
  await using undo = new AsyncDisposableStack();
  const scheduler = await runningMachines(kind, machines, undo);
  const periodUs = micros(machines > 20 ? 4_000_000 : 400_000);
  const with_ = (executionMs: number): Reservation => ({ periodUs, executionUs: micros(executionMs * 1000) });
  // 10 ms from one to the other, and back; of a single machine up and down.
  const [there, back] = [new Map([["machine-0", with_(10)]]), new Map([["machine-0", with_(20)]])];
  if (machines > 1) there.set("machine-1", with_(30)).set("machine-0", with_(10));
  if (machines > 1) back.set("machine-1", with_(20));
  const values = Array.from({ length: runs }, () => timed(scheduler, [there, back], changes));
  const row = { case: `${kind}, ${machines} running`, unit: "ms" };
  const one: BenchRow = {
    ...row,
    metric: `adapt ${machines > 1 ? "two" : "one"}, median`,
    reference: String(reference),
    aim: `<= ${aimMs}`,
    ...range(values.map(median)),
    ok: median(values.map(median)) <= aimMs,
  };
  const late: BenchRow = {
    ...row,
    metric: `adapt ${machines > 1 ? "two" : "one"}, p99`,
    reference: "-",
    aim: "published",
    ...range(values.map((each) => quantile(each, 0.99))),
    ok: true,
  };
  return machines < 200 ? [one, late] : [one, late, allAtOnce(kind, scheduler, machines, with_)];
}

function allAtOnce(
  kind: EnforcementKind,
  scheduler: CpuScheduler,
  machines: number,
  with_: (executionMs: number) => Reservation,
): BenchRow {
  const all = (first: number, second: number): Map<string, Reservation> =>
    new Map(
      Array.from({ length: machines }, (_each, at) => [
        `machine-${at}`,
        with_(at % 2 === 0 ? first : second),
      ]),
    );
  const values = Array.from({ length: runs }, () =>
    timed(scheduler, [all(10, 30), all(30, 10)], changesOfAll),
  );
  const figures = range(values.map(median));
  return {
    case: `${kind}, ${machines} running`,
    metric: `adapt all ${machines} at once, median`,
    unit: "ms",
    reference: "-",
    aim: `<= ${aimAllMs}`,
    ...figures,
    ok: figures.value <= aimAllMs,
  };
}

/** In ms, of each of so many changes. */
function timed(
  scheduler: CpuScheduler,
  alternatives: readonly ReadonlyMap<string, Reservation>[],
  count: number,
): number[] {
  return Array.from({ length: count }, (_each, at) => {
    const change = alternatives[at % alternatives.length];
    const from = performance.now();
    if (change !== undefined) scheduler.adapt(change);
    return performance.now() - from;
  });
}

/** Each with a process that wants to compute, 20 ms of its period reserved. */
async function runningMachines(
  kind: EnforcementKind,
  machines: number,
  undo: AsyncDisposableStack,
): Promise<CpuScheduler> {
  const layout = machineLayout();
  const cgroups = systemCgroups(clock, layout);
  const mark = `consort-bench-adapt-${process.pid}`;
  const root = mkdtempSync(join(tmpdir(), `${mark}-`));
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  undo.defer(async () => cgroups.open(mark).remove(never));
  const jobs = await startJobs(machines, undo);
  const scheduler = createCpuScheduler({
    directory: join(root, "scheduling"),
    layout,
    cgroupParent: mark,
    processors: Array.from({ length: availableParallelism() }, () => ({ milli: 1000 })),
    quantumUs: micros(10_000),
    endsWithOwner: true,
    log: silentLog,
  });
  undo.defer(() => scheduler.close());
  undo.defer(() => jobs.end());
  const periodUs = micros(machines > 20 ? 4_000_000 : 400_000);
  scheduler.recover(
    jobs.groups.map((job, at) => {
      const path = `${mark}/machine-${at}/job`;
      const group = cgroups.open(path);
      group.create();
      if (job.kind === "process") {
        group.attach(job.pid);
        process.kill(job.pid, "SIGCONT");
      }
      group.close();
      return {
        id: `machine-${at}`,
        reservation: { periodUs, executionUs: micros(20_000) },
        policy: "together" as const,
        jobs: [{ kind: "cgroup" as const, path }],
        teams: [],
        cgroup: `${mark}/machine-${at}`,
        enforcement: kind,
        suspended: false,
      };
    }),
  );
  await scheduler.ready();
  return scheduler;
}
