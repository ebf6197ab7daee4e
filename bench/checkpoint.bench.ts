import { CheckpointRig, id } from "../test/vm/checkpointing.ts";
import type { CheckpointHost } from "../test/vm/checkpointing.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";
import { range } from "./harness.ts";
import type { Benchmark, BenchOptions, BenchRow } from "./harness.ts";

/**
 * A guest on a bare QEMU under TCG, and two hosts' stores: a first checkpoint, then others after which each time 5% of
 * its memory was written anew with random content. Times go until the copy on the other host is durable.
 */
const rounds = 5;
const sizesMib = [128, 512] as const;
const keptMib = 76;
const pagesPerMib = 256;
const policy = { copies: 1, keep: 2 };

export const benchmark: Benchmark = {
  name: "checkpoint",
  about:
    "checkpoints of a virtual machine: bytes and time of the first and of those with 5% dirty, and the pause",
  async run(options) {
    const rows: BenchRow[] = [];
    for (const memoryMib of sizesMib) rows.push(...(await measure(memoryMib, options)));
    return rows;
  },
};

async function measure(memoryMib: number, { signal, progress }: BenchOptions): Promise<BenchRow[]> {
  await using rig = await CheckpointRig.open(signal);
  const host = await rig.host("a");
  await rig.host("b");
  const machine = await rig.start(host, { memoryMib });
  // A guest that uses its memory, but for what its kernel keeps for itself: 5% of little would be less still.
  const usedMib = Math.min(memoryMib - keptMib, Math.round(memoryMib * 0.7));
  const dirtyPages = Math.round(memoryMib * pagesPerMib * 0.05);
  // By pages: a larger buffer would be written anew as well.
  await machine.shell(`dd if=/dev/urandom of=/data/used bs=4k count=${usedMib * pagesPerMib}`);
  const first = await takeOne(host, "first", signal);
  progress(`${memoryMib} MiB: first ${(first.bytes / 2 ** 20).toFixed(0)} MiB in ${first.ms.toFixed(0)} ms`);
  const later: Measured[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await machine.shell(`dd if=/dev/urandom of=/data/used bs=4k count=${dirtyPages} conv=notrunc`);
    later.push(await takeOne(host, `later-${round}`, signal));
  }
  const restored = await restoreTime(rig, host, signal);
  return rowsOf(memoryMib, first, later, restored);
}

type Measured = { readonly bytes: number; readonly ms: number; readonly pauseMs: number };

async function takeOne(host: CheckpointHost, name: string, signal: AbortSignal): Promise<Measured> {
  const began = performance.now();
  await host.checkpoints.take({ appliance: id, id: name, generation: "1", policy }, signal);
  const ms = performance.now() - began;
  const { checkpoint } = newest(host);
  const parts = [checkpoint.memory, ...checkpoint.disks.map(({ content }) => content)];
  const bytes = parts.reduce((sum, part) => sum + (part?.sizeBytes ?? 0), 0);
  return { bytes, ms, pauseMs: checkpoint.pauseMs };
}

function newest(host: CheckpointHost): CheckpointReport {
  const report = host.checkpoints.observe().at(-1);
  if (report === undefined) throw new Error("no checkpoint was taken");
  return report;
}

/** On the other host, from nothing but what it has: until the machine goes on. */
async function restoreTime(rig: CheckpointRig, from: CheckpointHost, signal: AbortSignal): Promise<number> {
  const [, to] = rig.hosts;
  if (to === undefined) throw new Error("there is no other host");
  signal.throwIfAborted();
  const began = performance.now();
  await rig.restored(to, rig.chain(from), newest(from).copies);
  return performance.now() - began;
}

function rowsOf(
  memoryMib: number,
  first: Measured,
  later: readonly Measured[],
  restoredMs: number,
): BenchRow[] {
  const row = { case: `${memoryMib} MiB guest, 5% dirty`, reference: "only modified parts" };
  const share = range(later.map(({ bytes }) => (bytes / first.bytes) * 100));
  const pause = range([first, ...later].map(({ pauseMs }) => pauseMs));
  const mib = (bytes: number): number => bytes / 2 ** 20;
  return [
    { ...row, metric: "first", unit: "MiB", aim: "-", ...range([mib(first.bytes)]), ok: true },
    {
      ...row,
      metric: "later",
      unit: "MiB",
      aim: "-",
      ...range(later.map(({ bytes }) => mib(bytes))),
      ok: true,
    },
    { ...row, metric: "later, of the first", unit: "%", aim: "<= 10", ...share, ok: share.value <= 10 },
    { ...row, metric: "first", unit: "ms", aim: "-", ...range([first.ms]), ok: true },
    { ...row, metric: "later", unit: "ms", aim: "-", ...range(later.map(({ ms }) => ms)), ok: true },
    { ...row, metric: "pause of the guest", unit: "ms", aim: "<= 200", ...pause, ok: pause.value <= 200 },
    { ...row, metric: "restored on another host", unit: "ms", aim: "-", ...range([restoredMs]), ok: true },
  ];
}
