import {
  bitsPerSecond,
  bytes,
  formatBandwidth,
  formatBytes,
  formatCpu,
  formatDuration,
  milliCpu,
  millis,
} from "#base/units.ts";

/** Plain numbers of the API's answers, for people; absent ones are "-". */
const orDash = (value: number | undefined, format: (value: number) => string): string =>
  value === undefined ? "-" : format(value);

export const bandwidth = (value: number | undefined): string =>
  orDash(value, (bps) => formatBandwidth(bitsPerSecond(Math.round(bps))));
export const size = (value: number | undefined): string =>
  orDash(value, (count) => formatBytes(bytes(count)));
export const cpu = (value: number | undefined): string =>
  orDash(value, (milli) => formatCpu(milliCpu(Math.round(milli))));

/** How long ago, coarsely: "3s", "2m10s". */
export function age(sinceMs: number | undefined, nowMs: number): string {
  return orDash(sinceMs, (since) => {
    const passed = Math.max(0, nowMs - since);
    return formatDuration(millis(Math.round(passed / 1000) * 1000)).replace(/^0ms$/, "0s");
  });
}

/** "1 link", "2 links" */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** "12%" of a whole; "-" of nothing. */
export const part = (value: number, whole: number): string =>
  whole > 0 ? `${Math.round((value / whole) * 100)}%` : "-";

/** "24ms/40ms": so much CPU time in every period. */
export const reservation = (
  told: { readonly executionUs: number; readonly periodUs: number } | undefined,
): string =>
  told === undefined
    ? "-"
    : [told.executionUs, told.periodUs].map((us) => formatDuration(millis(us / 1000))).join("/");
