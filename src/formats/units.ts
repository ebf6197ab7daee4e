import {
  bitsPerSecond,
  bytes,
  formatBandwidth,
  formatBytes,
  formatCpu,
  formatDuration,
  micros,
  milliCpu,
  millis,
} from "#base/units.ts";
import type { BitsPerSecond, Bytes, Micros, MilliCpu, Millis } from "#base/units.ts";
import { schedulingLimits } from "#control/scheduling/limits.ts";

/** A quantity read from text, or why it is none: `expected` completes "expected …". */
export type Quantity<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly expected: string; readonly suggestion?: string };

const bandwidthExpected = "a bandwidth such as 600Mbit/s or 1Gbit/s";
const bytesExpected = "a size such as 512MiB or 1GB";
const cpuExpected = "a share of CPU such as 150% (one and a half cores) or 1.5";
const durationExpected = "a duration such as 16ms, 2s or 1m30s";

const number = String.raw`(\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})`;
const bandwidthShape = new RegExp(`^${number} ?(|[kKmMgGtT])(bit/s|bits/s|bit|bps|b/s|B/s|Bps)?$`);
const bytesShape = new RegExp(`^${number} ?([kKMGT]?B|[kKmMgGtT]i[bB]?|[kKmMgGtT]?b?|bytes)$`);
const cpuShape = new RegExp(`^${number} ?(%|)$`);
const durationShape = new RegExp(`^(?:${number}(us|µs|ms|s|m|h|d))+$`);
const durationParts = new RegExp(`${number}(us|µs|ms|s|m|h|d)`, "g");

const decimal: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const binary: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
const microsOf: Readonly<Record<string, number>> = {
  us: 1,
  µs: 1,
  ms: 1e3,
  s: 1e6,
  m: 60e6,
  h: 3600e6,
  d: 86400e6,
};

/** "600Mbit/s", "1Gbit/s", "40Mbps", "800 kbit/s" → bits per second, at least 1. Prefixes are decimal. */
export function parseBandwidth(text: string): Quantity<BitsPerSecond> {
  const found = bandwidthShape.exec(text.trim());
  const [, digits = "", prefix = "", unit] = found ?? [];
  if (found === null) return { ok: false, expected: bandwidthExpected };
  const scaled = Number(digits) * (decimal[prefix.toLowerCase()] ?? 1);
  if (unit === undefined) {
    return { ok: false, expected: bandwidthExpected, suggestion: `write ${digits}${prefix || "M"}bit/s` };
  }
  if (unit.startsWith("B")) {
    const inBits = bitsPerSecond(Math.round(scaled * 8));
    return { ok: false, expected: "bits, not bytes", suggestion: `write ${bandwidthText(inBits)}` };
  }
  return whole(scaled, 1, bandwidthExpected, bitsPerSecond);
}

/** "512MiB" (binary), "1GB" (decimal), "64Ki", "100B" → bytes, at least 1. A bare "512M" is ambiguous and refused. */
export function parseBytes(text: string): Quantity<Bytes> {
  const found = bytesShape.exec(text.trim());
  if (found === null) return { ok: false, expected: bytesExpected };
  const [, digits = "", unit = ""] = found;
  if (unit === "B" || unit === "bytes") return whole(Number(digits), 1, bytesExpected, bytes);
  const prefix = unit.slice(0, 1).toLowerCase();
  if (unit.slice(1, 2) === "i") {
    return whole(Number(digits) * (binary[prefix] ?? 1), 1, bytesExpected, bytes);
  }
  if (unit.endsWith("B")) return whole(Number(digits) * (decimal[prefix] ?? 1), 1, bytesExpected, bytes);
  const letter = unit === "" || unit === "b" ? "M" : prefix.toUpperCase();
  const suggestion = `write ${digits}${letter}iB${unit === "" ? ` (or ${digits}B)` : ` or ${digits}${letter}B`}`;
  return { ok: false, expected: bytesExpected, suggestion };
}

/** "10MiB/s" → bytes per second, at least 1. */
export function parseBytesRate(text: string): Quantity<Bytes> {
  const trimmed = text.trim();
  const expected = "bytes per second such as 10MiB/s";
  const parsed = parseBytes(trimmed.replace(/\/s$/, ""));
  if (!parsed.ok) return { ok: false, expected };
  return trimmed.endsWith("/s") ? parsed : { ok: false, expected, suggestion: `write ${trimmed}/s` };
}

/** "150%" and "1.5" → 1500 thousandths of a core, at least 1 (0.1%). */
export function parseCpuShare(text: string): Quantity<MilliCpu> {
  const found = cpuShape.exec(text.trim());
  if (found === null) return { ok: false, expected: cpuExpected };
  return whole(Number(found[1]) * (found[2] === "%" ? 10 : 1000), 1, cpuExpected, milliCpu);
}

/** "16ms/40ms" → execution time per period, both in µs; the period 1 ms to 1 s, the execution time within 1,024 cores. */
export function parseCpuReservation(text: string): Quantity<{ executionUs: Micros; periodUs: Micros }> {
  const expected = "an execution time per period such as 16ms/40ms";
  const parts = text.split("/");
  const [execution, period] = parts.map(parseDurationUs);
  if (parts.length !== 2 || execution?.ok !== true || period?.ok !== true) return { ok: false, expected };
  if (period.value < 1_000 || period.value > 1_000_000) {
    return { ok: false, expected: "a period between 1ms and 1s, as in 16ms/40ms" };
  }
  if (execution.value < 1) return { ok: false, expected: "an execution time of at least 1us" };
  return { ok: true, value: { executionUs: execution.value, periodUs: period.value } };
}

/** "40ms" → µs, between 1 ms and 1 s. */
export function parsePeriodUs(text: string): Quantity<Micros> {
  const parsed = parseDurationUs(text);
  if (!parsed.ok || (parsed.value >= 1_000 && parsed.value <= 1_000_000)) return parsed;
  return { ok: false, expected: "a period between 1ms and 1s, such as 40ms" };
}

/** Of a slot of dispatch tables. */
export function parseQuantumUs(text: string): Quantity<Micros> {
  const { quantumUsMin, quantumUsMax } = schedulingLimits;
  const parsed = parseDurationUs(text);
  if (!parsed.ok || (parsed.value >= quantumUsMin && parsed.value <= quantumUsMax)) return parsed;
  return { ok: false, expected: "a slot of 1ms to 10ms, such as 5ms" };
}

/** "16ms", "2s", "1m30s", "250us" → µs, whole. "0s" is allowed. */
export function parseDurationUs(text: string): Quantity<Micros> {
  const trimmed = text.trim();
  if (trimmed.length > 64 || !durationShape.test(trimmed)) {
    const bare = /^\d{1,9}(\.\d+)?$/.test(trimmed);
    const suggestion = bare ? { suggestion: `write ${trimmed}s or ${trimmed}ms` } : {};
    return { ok: false, expected: durationExpected, ...suggestion };
  }
  let total = 0;
  for (const [, digits = "", unit = ""] of trimmed.matchAll(durationParts)) {
    total += Number(digits) * (microsOf[unit] ?? 0);
  }
  return whole(total, 0, durationExpected, micros);
}

/** As `parseDurationUs`, in ms, to the nearest whole millisecond. */
export function parseDuration(text: string): Quantity<Millis> {
  const parsed = parseDurationUs(text);
  return parsed.ok ? { ok: true, value: millis(Math.round(parsed.value / 1000)) } : parsed;
}

function whole<T>(value: number, least: number, expected: string, brand: (value: number) => T): Quantity<T> {
  const rounded = Math.round(value);
  if (Number.isSafeInteger(rounded) && rounded >= least) return { ok: true, value: brand(rounded) };
  return {
    ok: false,
    expected: rounded < least ? `${expected}, more than nothing` : `${expected}, not as large`,
  };
}

/** The shortest text that reads back as exactly this value (the people's form of base/units.ts may round). */
export function bandwidthText(value: BitsPerSecond): string {
  return exact(formatBandwidth(value), value, parseBandwidth, `${value}bit/s`);
}

/** As `bandwidthText`, for sizes. */
export function bytesText(value: Bytes): string {
  return exact(formatBytes(value), value, parseBytes, `${value}B`);
}

/** As `bandwidthText`, for bytes per second. */
export const bytesRateText = (value: Bytes): string => `${bytesText(value)}/s`;

/** As `bandwidthText`, for CPU shares. */
export function cpuShareText(value: MilliCpu): string {
  return exact(formatCpu(value), value, parseCpuShare, String(value / 1000));
}

/** As `bandwidthText`, for durations. */
export function durationText(value: Millis): string {
  return exact(formatDuration(value), value, parseDuration, `${value}ms`);
}

/** As `bandwidthText`, for durations in µs. */
export function durationUsText(value: Micros): string {
  return exact(formatDuration(millis(value / 1000)), value, parseDurationUs, `${value}us`);
}

function exact<T extends number>(
  text: string,
  value: T,
  parse: (text: string) => Quantity<T>,
  fallback: string,
): string {
  const back = parse(text);
  return back.ok && back.value === value ? text : fallback;
}
