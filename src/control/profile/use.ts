import { quantile } from "#base/quantiles.ts";
import { estimate } from "#control/profile/confidence.ts";
import type { Profile } from "#control/profile/profile.ts";

export type UseWish = {
  /** Absent: that of its reservation. */
  readonly periodMs?: number;
  /** Part of the looks its demand is to be covered in, 0 … 1. */
  readonly coveredPart: number;
  readonly reservation?: { readonly executionUs: number; readonly periodUs: number };
};

/** What an appliance used over one reporting interval of its host. Rates are absent where nothing counts them. */
export type UseSample = {
  readonly cpuMilli: number;
  readonly memoryBytes: number;
  readonly intervalMs: number;
  readonly outBps?: number;
  readonly inBps?: number;
};

/**
 * A profile from a running appliance's counters: coarser than single runs, as its rhythm does not show in them, and
 * what it needs is no more than what it was given.
 */
export function profileOfUse(samples: readonly UseSample[], wish: UseWish): Profile {
  const { coveredPart, reservation } = wish;
  const periodMs = wish.periodMs ?? (reservation && reservation.periodUs / 1000);
  const shares = samples.map(({ cpuMilli }) => cpuMilli / 1000);
  const utilisation = estimate(shares);
  const rates = (what: "outBps" | "inBps"): number[] =>
    samples.map((sample) => sample[what]).filter((rate) => rate !== undefined);
  const [out, back] = [rates("outBps"), rates("inBps")];
  return {
    runs: samples.length,
    utilisation,
    wallMs: estimate(samples.map(({ intervalMs }) => intervalMs)),
    cpuMs: estimate(samples.map(({ cpuMilli, intervalMs }) => (cpuMilli * intervalMs) / 1000)),
    ...(periodMs === undefined
      ? {}
      : {
          period: { ms: periodMs, from: wish.periodMs === undefined ? "reservation" : "given" },
          demand: {
            meanMs: utilisation.mean * periodMs,
            coveringMs: quantile(shares, coveredPart) * periodMs,
            mostMs: Math.max(...shares) * periodMs,
            periods: samples.length,
          },
        }),
    running:
      reservation !== undefined && isAllOf(utilisation.mean, reservation.executionUs / reservation.periodUs)
        ? { usesAll: reservation }
        : {},
    memoryPeakBytes: Math.max(...samples.map(({ memoryBytes }) => memoryBytes)),
    ...(out.length === 0 ? {} : { outBps: estimate(out) }),
    ...(back.length === 0 ? {} : { inBps: estimate(back) }),
  };
}

/** Use is told in thousandths of a processor, and what keeps a reservation is not exact. */
const roundingPart = 0.0005;
const asGoodAsAllPart = 0.05;

const isAllOf = (used: number, reserved: number): boolean =>
  Math.abs(used - reserved) <= reserved * asGoodAsAllPart + roundingPart;
