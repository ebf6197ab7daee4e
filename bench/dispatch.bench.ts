import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, quantile } from "#base/quantiles.ts";
import { micros, millis } from "#base/units.ts";
import { ReservationBook } from "#control/scheduling/book.ts";
import { processorsOf, setProcessors } from "#drivers/scheduling/kernel/calls.ts";
import type { EnforcedMachine, JobGroup } from "#drivers/scheduling/port.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { capacity, word } from "#drivers/scheduling/table/memory.ts";
import type { TableMemory } from "#drivers/scheduling/table/memory.ts";
import { GroupWeights } from "#drivers/scheduling/weights.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { startJobs } from "./busy-jobs.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";
import { observeSwitches } from "./machine-itself.ts";

/** Figures of the publication, in ms, per number of machines and of jobs in each. */
const references: readonly (readonly [machines: number, jobs: number, ms: number])[] = [
  [2, 2, 0.008],
  [2, 20, 0.008],
  [2, 200, 0.008],
  [20, 2, 0.023],
  [20, 20, 0.05],
  [20, 200, 0.26],
  [200, 2, 0.039],
  [200, 20, 0.053],
  [200, 200, 0.265],
];
const quantumUs = micros(10_000);
const slotsPerRun = 100;
const runs = 3;
const caseOf = ([machines, jobs]: (typeof references)[number]): string => `${machines}x${jobs}`;
const clock = systemClock();

/**
 * What one slot costs: from its beginning to the last call to the kernel of its dispatch, measured by the dispatcher
 * itself. Machines are teams that take turns, one job at a time; every job is a process that wants to compute.
 */
export const benchmark: Benchmark = {
  name: "dispatch",
  about: "overhead per dispatch of a table: machines x jobs",
  cases: references.map(caseOf),
  async run({ signal, progress, cases }): Promise<BenchRow[]> {
    const rows: BenchRow[] = [];
    for (const each of references.filter((one) => cases?.has(caseOf(one)) ?? true)) {
      signal.throwIfAborted();
      const [machines, jobs, reference] = each;
      progress(`${machines} machines with ${jobs} jobs each`);
      rows.push(...(await measure(machines, jobs, reference, { signal, progress })));
    }
    rows.push(...(await machineItself(signal)));
    return rows;
  },
};

/** What the machine's kernel takes for it today, whoever asks. */
async function machineItself(signal: AbortSignal): Promise<BenchRow[]> {
  const values: (readonly number[])[] = [];
  for (let run = 0; run < runs; run += 1)
    values.push((await observeSwitches(slotsPerRun, quantumUs / 1000, signal)).costMs);
  if (values.some((each) => each.length === 0)) return [];
  return costRows("the machine itself: two bare calls", values, "-");
}

async function measure(
  machines: number,
  jobs: number,
  reference: number,
  { signal, progress }: BenchOptions,
): Promise<BenchRow[]> {
  await using undo = new AsyncDisposableStack();
  const began = performance.now();
  const tell = (what: string): void =>
    progress(`${what} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  const started = await startJobs(machines * jobs, undo);
  tell("the jobs are there");
  const root = mkdtempSync(join(tmpdir(), "consort-bench-dispatch-"));
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  const layout = machineLayout();
  // The table is of one processor: what is dispatched by it runs there, as jobs that are control groups do.
  const processor = processorsOf(0)?.[0] ?? 0;
  for (const group of started.groups) if (group.kind === "process") setProcessors(group.pid, [processor]);
  const enforcer = new TableEnforcer({
    directory: join(root, "owner"),
    layout,
    weights: new GroupWeights(layout, undefined),
    endsWithOwner: true,
    processors: [processor],
    log: silentLog,
  });
  undo.defer(() => enforcer.close());
  undo.defer(() => started.end());
  const enforced = Array.from({ length: machines }, (_each, at) =>
    machineOf(at, machines, started.groups.slice(at * jobs, (at + 1) * jobs)),
  );
  enforcer.apply(enforced, tableFor(enforced));
  const memory = enforcer.memory;
  if (memory === undefined) throw new Error("there is no table");
  tell("they are handed over");
  await allDispatched(memory, machines * jobs, signal);
  tell("all are dispatched");
  const values: number[][] = [];
  for (let run = 0; run < runs; run += 1) values.push(await nextSlots(memory, signal));
  return costRows(
    `${machines} machines x ${jobs} jobs`,
    values,
    String(reference),
    machines === 2 ? 0.008 : 0.02,
  );
}

/** Of every run what each slot took, ms. */
function costRows(
  name: string,
  values: readonly (readonly number[])[],
  reference: string,
  aimMs?: number,
): BenchRow[] {
  const row = (metric: string, each: readonly number[]): Omit<BenchRow, "reference" | "aim" | "ok"> => ({
    case: name,
    metric,
    unit: "ms",
    value: median(each),
    low: Math.min(...each),
    high: Math.max(...each),
  });
  const medians = values.map(median);
  const tails = values.map((each) => quantile(each, 0.99));
  const aim = aimMs === undefined ? "published" : `<= ${aimMs}`;
  const ok = aimMs === undefined || median(medians) <= aimMs;
  return [
    { ...row("dispatch, median", medians), reference, aim, ok },
    { ...row("dispatch, p99", tails), reference: "-", aim: "published", ok: true },
  ];
}

/**
 * As in the publication, 20 ms of 400 ms each, and of 4000 with 200 machines; two machines get half the processor each,
 * so that there, too, every slot stops one job and continues another.
 */
function machineOf(at: number, machines: number, jobs: readonly JobGroup[]): EnforcedMachine {
  const periodUs = micros(machines * 20_000);
  return {
    id: `machine-${at}`,
    reservation: { periodUs, executionUs: micros(20_000) },
    policy: "round-robin",
    jobs,
    teams: [],
    suspended: false,
  };
}

function tableFor(machines: readonly EnforcedMachine[]): ReservationBook["table"] {
  const book = new ReservationBook({
    processors: [{ milli: 1000 }],
    policy: "rate-monotonic",
    quantumUs,
  });
  const result = book.reserveAll(
    machines.map(({ id, reservation }) => ({
      id,
      kind: "dispatch-table",
      reservation,
      suspended: false,
      teams: [],
    })),
  );
  if (!result.ok) throw new Error(result.refusal.reason);
  return book.table;
}

/** Every job but the ones whose turn it is has been stopped by the dispatcher. */
async function allDispatched(memory: TableMemory, jobs: number, signal: AbortSignal): Promise<void> {
  const stopped = (): number => memory.stopped.subarray(0, jobs).reduce((sum, mark) => sum + mark, 0);
  while (stopped() < jobs - 1) await clock.sleep(millis(20), signal);
}

/** How long the dispatch took, in ms, of the next slots that had one. */
async function nextSlots(memory: TableMemory, signal: AbortSignal): Promise<number[]> {
  const first = Atomics.load(memory.header, word.begun);
  while (Atomics.load(memory.header, word.begun) < first + slotsPerRun) await clock.sleep(millis(20), signal);
  return Array.from(
    { length: slotsPerRun },
    (_each, at) => (memory.tookNs[(first + at) % capacity.beginnings] ?? 0) / 1e6,
  );
}
