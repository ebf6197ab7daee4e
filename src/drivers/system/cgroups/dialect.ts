import type { Bytes, Micros, MilliCpu } from "#base/units.ts";
import type { CpuQuota } from "#drivers/system/cgroups/port.ts";

export type FileWrite = { readonly file: string; readonly value: string };

/** What one version of the interface calls things: pure, each operation as the writes that carry it out, in order. */
export type Dialect = {
  /** `previousPeriodUs` is what was last written, undefined if unknown. */
  cpuQuota(limit: CpuQuota | "max", previousPeriodUs: Micros | undefined): readonly FileWrite[];
  cpuWeight(share: MilliCpu): FileWrite;
  memory(limit: Bytes | "max"): readonly FileWrite[];
  pids(limit: number | "max"): FileWrite;
  readonly frozen: FileWrite;
  readonly thawed: FileWrite;
  readonly cpuUsageFile: string;
  cpuUsageUs(text: string): Micros;
  readonly memoryUsageFile: string;
  readonly oomFile: string;
};

export const periodUsMin = 1_000;
export const periodUsMax = 1_000_000;
/** The kernel refuses less. */
export const quotaUsMin = 1_000;

/** Within what the kernel accepts; a quota below its minimum keeps its ratio in a longer period where that fits. */
export function acceptableQuota(limit: CpuQuota): CpuQuota {
  const periodUs = clamp(Math.round(limit.periodUs), periodUsMin, periodUsMax);
  const quotaUs = Math.round((limit.quotaUs * periodUs) / limit.periodUs);
  if (quotaUs >= quotaUsMin) return { quotaUs: quotaUs as Micros, periodUs: periodUs as Micros };
  const longer = Math.round((limit.periodUs * quotaUsMin) / Math.max(limit.quotaUs, 1));
  return { quotaUs: quotaUsMin as Micros, periodUs: clamp(longer, periodUs, periodUsMax) as Micros };
}

/** `key value` lines, as in memory.events, memory.oom_control and cpu.stat. */
export function keyedNumber(text: string, key: string): number {
  for (const line of text.split("\n")) {
    if (line.startsWith(`${key} `)) return Number(line.slice(key.length + 1));
  }
  return 0;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
