import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { median } from "#base/quantiles.ts";
import { micros, millis } from "#base/units.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import type { EnforcementKind } from "#drivers/scheduling/port.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { TableMemory, capacity, word } from "#drivers/scheduling/table/memory.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { startCompetitors } from "./busy-jobs.ts";

export const kinds: readonly EnforcementKind[] = ["dispatch-table", "bandwidth", "deadline"];
export const periodMs = 20;
export const executionMs = 10;
export const competitors = 4;
const clock = systemClock();
const never = new AbortController().signal;
const settleMs = millis(500);
/** A job that did not run for so long was stopped, or had to wait. */
const gapNs = 50_000;
const clockGettime = process.arch === "arm64" ? 113 : 228;

/**
 * Computes for so many seconds, and then tells when it had not run: until when, from when on again, and how much CPU
 * time it had had by then, all in ns.
 */
const recorder = `
my ($seconds, $gap, $call) = @ARGV;
sub now { my $time = "\\0" x 16; syscall($call + 0, $_[0] + 0, $time); my ($s, $n) = unpack "qq", $time; $s * 1e9 + $n }
<STDIN>;
my @starts;
my $last = now(1);
my $end = $last + $seconds * 1e9;
while ($last < $end) {
  my $now = now(1);
  push @starts, $last, $now, now(3) if $now - $last > $gap;
  $last = $now;
}
printf "%.0f %.0f %.0f\\n", splice @starts, 0, 3 while @starts;`;

type Start = { readonly stoppedNs: number; readonly startedNs: number; readonly cpuNs: number };

export type Observation = {
  /** Received ÷ reserved, of each period. */
  readonly received: readonly number[];
  /** From when a period's time should begin to when the job runs, in ms; where only the kernel knows when it should, from the usual one. */
  readonly startsMs: readonly number[];
  /** Of the dispatcher, in ms: from the time of a slot to its beginning. */
  readonly slotsMs: readonly number[];
};

/** One busy job with half a processor reserved, among competitors of ordinary priority outside all groups. */
export async function observe(
  kind: EnforcementKind,
  periods: number,
  signal: AbortSignal,
): Promise<Observation> {
  await using undo = new AsyncDisposableStack();
  const layout = machineLayout();
  const cgroups = systemCgroups(clock, layout);
  const mark = `consort-bench-reserved-${process.pid}`;
  const root = mkdtempSync(join(tmpdir(), `${mark}-`));
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  undo.defer(async () => {
    cgroups.open(mark).killAll();
    await cgroups.open(mark).remove(never);
  });
  const group = cgroups.open(`${mark}/machine/job`);
  group.create();
  using _competitors = startCompetitors(competitors);
  const directory = join(root, "scheduling");
  const scheduler = createCpuScheduler({
    directory,
    layout,
    cgroupParent: mark,
    processors: Array.from({ length: availableParallelism() }, () => ({ milli: 1000 })),
    quantumUs: micros(1000 * executionMs),
    endsWithOwner: true,
    log: silentLog,
  });
  undo.defer(() => scheduler.close());
  scheduler.recover([]);
  const seconds = (periods * periodMs + 3 * settleMs) / 1000;
  // It begins to record, and to compute, when it is told that it is held.
  const job = spawn("perl", ["-e", recorder, String(seconds), String(gapNs), String(clockGettime)], {
    stdio: ["pipe", "pipe", "inherit"],
    signal,
  });
  job.on("error", () => {});
  const exit = once(job, "exit");
  group.attach(job.pid ?? 0);
  scheduler.reserve({
    id: "machine",
    reservation: { periodUs: micros(1000 * periodMs), executionUs: micros(1000 * executionMs) },
    policy: "together",
    jobs: [{ kind: "cgroup", path: group.path }],
    teams: [],
    cgroup: `${mark}/machine`,
    enforcement: kind,
  });
  await scheduler.ready();
  await clock.sleep(settleMs, signal);
  job.stdin.end("go\n");
  const memory =
    kind === "dispatch-table" ? TableMemory.open(tableFile(join(directory, "table"))) : undefined;
  const [printed] = await Promise.all([text(job.stdout), exit]);
  signal.throwIfAborted();
  const slotsMs = memory === undefined ? [] : newestSlots(memory, periods);
  memory?.close();
  return { ...evaluate(parse(printed), kind, periods), slotsMs };
}

function newestSlots(memory: TableMemory, periods: number): number[] {
  const begun = Atomics.load(memory.header, word.begun);
  const count = Math.min(begun, capacity.beginnings, (periods * periodMs) / executionMs);
  return Array.from(
    { length: count },
    (_each, at) => (memory.lateNs[(begun - 1 - at) % capacity.beginnings] ?? 0) / 1e6,
  );
}

function parse(printed: string): Start[] {
  return printed
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [stoppedNs = 0, startedNs = 0, cpuNs = 0] = line.split(" ").map(Number);
      return { stoppedNs, startedNs, cpuNs };
    });
}

/** The newest whole periods: what came before them belongs to the beginning. */
function evaluate(
  starts: readonly Start[],
  kind: EnforcementKind,
  periods: number,
): Pick<Observation, "received" | "startsMs"> {
  const periodNs = periodMs * 1e6;
  const isWhole = ({ stoppedNs, startedNs }: Start): boolean =>
    startedNs - stoppedNs > ((periodMs - executionMs) * 1e6) / 2;
  const begins = starts.filter(isWhole).slice(-periods - 1);
  const first = begins[0]?.startedNs ?? 0;
  // A table's slots lie on multiples of the period since the machine's start; the kernel's periods begin somewhere.
  const phaseNs =
    kind === "dispatch-table"
      ? 0
      : median(begins.map(({ startedNs }) => circular(startedNs - first, periodNs))) + first;
  const marginNs = kind === "dispatch-table" ? 0 : periodNs / 20;
  const firstBoundary = Math.floor((first - phaseNs) / periodNs) * periodNs + phaseNs;
  const last = starts.at(-1)?.startedNs ?? 0;
  const received: number[] = [];
  for (let at = firstBoundary + periodNs; at + periodNs < last; at += periodNs) {
    received.push(
      (cpuAt(starts, at + periodNs - marginNs) - cpuAt(starts, at - marginNs)) / (executionMs * 1e6),
    );
  }
  const startsMs = begins.map(({ startedNs }) => Math.abs(circular(startedNs - phaseNs, periodNs)) / 1e6);
  return { received: received.slice(-periods), startsMs };
}

/** The difference to the nearest multiple. */
function circular(value: number, period: number): number {
  const rest = ((value % period) + period) % period;
  return rest > period / 2 ? rest - period : rest;
}

function cpuAt(starts: readonly Start[], timeNs: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((starts[middle]?.startedNs ?? 0) <= timeNs) low = middle + 1;
    else high = middle;
  }
  const before = starts[low - 1];
  const next = starts[low];
  if (before === undefined) return 0;
  const running = before.cpuNs + (timeNs - before.startedNs);
  // In a pause: it has what it had when that began.
  return next !== undefined && timeNs > next.stoppedNs
    ? next.cpuNs
    : Math.min(running, next?.cpuNs ?? running);
}
