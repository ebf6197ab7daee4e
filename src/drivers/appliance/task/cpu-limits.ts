import { micros, milliCpu } from "#base/units.ts";
import type { Micros, MilliCpu } from "#base/units.ts";
import type { CpuRequest } from "#model/ensemble.ts";

/** The kernel's own default: long enough to be cheap, short enough not to be felt. */
const sharePeriodUs = micros(100_000);
/** Where nothing is promised. */
const bestEffortShare = milliCpu(100);

export type CpuLimits = {
  readonly weight: MilliCpu;
  readonly quota: { readonly quotaUs: Micros; readonly periodUs: Micros } | "max";
};

/** How a request is put to the kernel: a weight for what is promised, a quota for what is never exceeded. */
export function cpuLimits(cpu: CpuRequest | undefined): CpuLimits {
  if (cpu === undefined) return { weight: bestEffortShare, quota: "max" };
  if (cpu.kind === "share") {
    return {
      weight: cpu.shareMilli,
      quota: { quotaUs: micros((cpu.limitMilli * sharePeriodUs) / 1000), periodUs: sharePeriodUs },
    };
  }
  return {
    weight: milliCpu((cpu.executionUs * 1000) / cpu.periodUs),
    quota: { quotaUs: cpu.executionUs, periodUs: cpu.periodUs },
  };
}
