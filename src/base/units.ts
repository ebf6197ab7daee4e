/**
 * Units are types: a plain number never stands for a quantity. Brands cost nothing at run time and stop a
 * value in bytes from reaching a parameter in bits. Text forms ("600Mbit/s") live in formats/; this file only
 * names the quantities and prints them for people.
 */
declare const unit: unique symbol;
type Quantity<Name extends string> = number & { readonly [unit]: Name };

export type Millis = Quantity<"ms">;
export type Micros = Quantity<"us">;
export type Bytes = Quantity<"B">;
export type BitsPerSecond = Quantity<"bit/s">;
/** Thousandths of one CPU core: 1000 is one core, 1500 is "150%". */
export type MilliCpu = Quantity<"mCPU">;

export const millis = (value: number): Millis => value as Millis;
export const micros = (value: number): Micros => value as Micros;
export const bytes = (value: number): Bytes => value as Bytes;
export const bitsPerSecond = (value: number): BitsPerSecond => value as BitsPerSecond;
export const milliCpu = (value: number): MilliCpu => value as MilliCpu;

export const mebibytes = (value: number): Bytes => bytes(value * 1024 * 1024);
export const megabitsPerSecond = (value: number): BitsPerSecond => bitsPerSecond(value * 1e6);

const trimmed = (value: number): string => String(Math.round(value * 100) / 100);

/** 600000000 → "600Mbit/s". */
export function formatBandwidth(value: BitsPerSecond): string {
  if (value >= 1e9 && value % 1e8 === 0) return `${trimmed(value / 1e9)}Gbit/s`;
  if (value >= 1e6) return `${trimmed(value / 1e6)}Mbit/s`;
  if (value >= 1e3) return `${trimmed(value / 1e3)}kbit/s`;
  return `${trimmed(value)}bit/s`;
}

/** 536870912 → "512MiB". */
export function formatBytes(value: Bytes): string {
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled: number = value;
  let step = 0;
  while (scaled >= 1024 && step < steps.length - 1) {
    scaled /= 1024;
    step += 1;
  }
  return `${trimmed(scaled)}${steps[step]}`;
}

/** 1500 → "150%". */
export function formatCpu(value: MilliCpu): string {
  return `${trimmed(value / 10)}%`;
}

/** 90000 → "1m30s"; 250 → "250ms". */
export function formatDuration(value: Millis): string {
  if (value < 1000) return `${trimmed(value)}ms`;
  const seconds = value / 1000;
  if (seconds < 60) return `${trimmed(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  const rest = Math.round(seconds % 60);
  if (minutes < 60) return rest === 0 ? `${minutes}m` : `${minutes}m${rest}s`;
  return `${Math.floor(minutes / 60)}h${minutes % 60}m`;
}
