import { quantile } from "#base/quantiles.ts";
import { estimate } from "#control/profile/confidence.ts";
import type { Profile, ProfileWish } from "#control/profile/profile.ts";

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
export function profileOfUse(samples: readonly UseSample[], { periodMs, coveredPart }: ProfileWish): Profile {
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
          period: { ms: periodMs, from: "given" },
          demand: {
            meanMs: utilisation.mean * periodMs,
            coveringMs: quantile(shares, coveredPart) * periodMs,
            mostMs: Math.max(...shares) * periodMs,
            periods: samples.length,
          },
        }),
    memoryPeakBytes: Math.max(...samples.map(({ memoryBytes }) => memoryBytes)),
    ...(out.length === 0 ? {} : { outBps: estimate(out) }),
    ...(back.length === 0 ? {} : { inBps: estimate(back) }),
  };
}
