import type { Millis } from "#base/units.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { Reading } from "#control/monitor/readings.ts";

/** What of an appliance is counted at one moment; `misses` where its reservation is enforced and counted. */
export type UseCount = {
  readonly atMs: Millis;
  readonly cpuUsedMs: Millis;
  readonly cpu?: CpuRequest;
  readonly misses?: number;
};

/**
 * usage: CPU time used since the last count, of what is reserved for that time; misses: missed slots or periods per
 * second. What was counted anew in between is not told.
 */
export function reservationUse(before: UseCount, now: UseCount): Reading[] {
  const passedMs = now.atMs - before.atMs;
  if (passedMs <= 0) return [];
  const usedMs = now.cpuUsedMs - before.cpuUsedMs;
  const share = now.cpu === undefined ? 0 : shareOf(now.cpu);
  const missed = now.misses === undefined || before.misses === undefined ? -1 : now.misses - before.misses;
  return [
    ...(share > 0 && usedMs >= 0 ? [{ metric: "usage", value: usedMs / passedMs / share }] : []),
    ...(missed >= 0 ? [{ metric: "misses", value: (missed * 1000) / passedMs }] : []),
  ];
}

/** Processors. */
const shareOf = (cpu: CpuRequest): number =>
  cpu.kind === "reservation" ? cpu.executionUs / cpu.periodUs : cpu.shareMilli / 1000;
