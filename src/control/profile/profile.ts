import { quantile } from "#base/quantiles.ts";
import { estimate } from "#control/profile/confidence.ts";
import type { Estimate } from "#control/profile/confidence.ts";
import { cpuAt, rhythmOf } from "#control/profile/rhythm.ts";
import type { CpuSample } from "#control/profile/rhythm.ts";

/** What one run of a program used. `samples` begin with the run and end with it. */
export type ProgramRun = {
  readonly samples: readonly CpuSample[];
  readonly memoryPeakBytes: number;
  /** Sent and received, counted as Ethernet frames; absent: it could not be counted. */
  readonly outBytes?: number;
  readonly inBytes?: number;
};

/** How it is to be looked at. */
export type ProfileWish = {
  /** Absent: what its own rhythm shows. */
  readonly periodMs?: number;
  /** Part of the periods its demand is to be covered in, 0 … 1. */
  readonly coveredPart: number;
};

export type Profile = {
  readonly runs: number;
  /** Of one processor; above 1 with several at once. */
  readonly utilisation: Estimate;
  readonly wallMs: Estimate;
  readonly cpuMs: Estimate;
  readonly period?: { readonly ms: number; readonly from: "given" | "rhythm" | "reservation" };
  /** CPU time in each period, of all periods of all runs. */
  readonly demand?: {
    readonly meanMs: number;
    readonly coveringMs: number;
    readonly mostMs: number;
    readonly periods: number;
  };
  /** Of an appliance that runs: its counters, not its runs, were looked at. */
  readonly running?: {
    /** It used what it has reserved, and no more: what it would use is not known. */
    readonly usesAll?: { readonly executionUs: number; readonly periodUs: number };
  };
  readonly memoryPeakBytes: number;
  readonly outBps?: Estimate;
  readonly inBps?: Estimate;
};

/** How programs begin says nothing of how they go on: this part of a run is left out, up to that long. */
const beginPart = 0.1;
const beginMsMax = 1000;

/** Its use of processors alone, which is quickly known. */
export function utilisationOf(runs: readonly ProgramRun[]): Estimate {
  return estimate(
    runs.map((run) => settledPart(run.samples)).map((samples) => cpuOf(samples) / wallOf(samples)),
  );
}

export function profileOf(runs: readonly ProgramRun[], wish: ProfileWish): Profile {
  const settled = runs.map((run) => settledPart(run.samples));
  const found = wish.periodMs ?? rhythmOf(settled);
  const period =
    found === undefined
      ? undefined
      : ({ ms: found, from: wish.periodMs === undefined ? "rhythm" : "given" } as const);
  const demands =
    period === undefined ? [] : settled.flatMap((samples) => demandPerPeriod(samples, period.ms));
  const outBps = rateOf(runs, "outBytes");
  const inBps = rateOf(runs, "inBytes");
  return {
    runs: runs.length,
    utilisation: utilisationOf(runs),
    wallMs: estimate(runs.map((run) => wallOf(run.samples))),
    cpuMs: estimate(runs.map((run) => cpuOf(run.samples))),
    ...(period === undefined ? {} : { period }),
    ...(demands.length === 0
      ? {}
      : {
          demand: {
            meanMs: estimate(demands).mean,
            coveringMs: quantile(demands, wish.coveredPart),
            mostMs: demands.reduce((most, demand) => Math.max(most, demand), 0),
            periods: demands.length,
          },
        }),
    memoryPeakBytes: runs.reduce((most, run) => Math.max(most, run.memoryPeakBytes), 0),
    ...(outBps === undefined ? {} : { outBps }),
    ...(inBps === undefined ? {} : { inBps }),
  };
}

function settledPart(samples: readonly CpuSample[]): readonly CpuSample[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return samples;
  const fromMs = first.atMs + Math.min(beginMsMax, (last.atMs - first.atMs) * beginPart);
  const settled = samples.filter(({ atMs }) => atMs >= fromMs);
  return settled.length >= 2 ? settled : samples;
}

/** Beginnings tried for the first period. */
const phases = 16;

/**
 * CPU time in each whole period between first and last sample. Periods begin where it works least: at the program's
 * own rhythm, not in the middle of its work.
 */
export function demandPerPeriod(samples: readonly CpuSample[], periodMs: number): number[] {
  const [first, last] = [samples[0]?.atMs ?? 0, samples.at(-1)?.atMs ?? 0];
  const step = periodMs / phases;
  const steps = Math.floor((last - first) / step);
  const used = cpuAt(
    samples,
    Array.from({ length: steps + 1 }, (_, index) => first + index * step),
  );
  const between = (from: number, to: number): number => (used[to] ?? 0) - (used[from] ?? 0);
  const whole = (phase: number): number[] =>
    Array.from(
      { length: Math.max(0, Math.floor((steps - phase) / phases)) },
      (_, index) => phase + index * phases,
    );
  const workAround = Array.from({ length: phases }, (_, phase) =>
    whole(phase).reduce((sum, at) => sum + between(Math.max(0, at - 1), at + 1), 0),
  );
  const least = Math.min(...workAround) * (1 + 1e-9);
  const phase = workAround.findIndex((work) => work <= least);
  return whole(Math.max(0, phase)).map((at) => between(at, at + phases));
}

function rateOf(runs: readonly ProgramRun[], what: "outBytes" | "inBytes"): Estimate | undefined {
  const rates = runs.flatMap((run) => {
    const bytes = run[what];
    return bytes === undefined ? [] : [(bytes * 8000) / wallOf(run.samples)];
  });
  return rates.length === 0 ? undefined : estimate(rates);
}

const wallOf = (samples: readonly CpuSample[]): number =>
  (samples.at(-1)?.atMs ?? 0) - (samples[0]?.atMs ?? 0);
const cpuOf = (samples: readonly CpuSample[]): number =>
  (samples.at(-1)?.cpuMs ?? 0) - (samples[0]?.cpuMs ?? 0);
