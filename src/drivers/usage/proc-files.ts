import { bytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";

/** What files of /proc say, as text; pure. Numbers the kernel does not tell are 0. */

/** /proc/loadavg → processes that run or wait, averaged over 1, 5 and 15 minutes. */
export function parseLoad(text: string): readonly [number, number, number] {
  const [one = 0, five = 0, fifteen = 0] = text.split(" ").slice(0, 3).map(Number);
  return [one, five, fifteen];
}

export type MemoryFacts = { readonly totalBytes: Bytes; readonly availableBytes: Bytes };

/** /proc/meminfo; available: what programs could get without others being written to swap. */
export function parseMemory(text: string): MemoryFacts {
  const of = (key: string): Bytes => {
    const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? "0";
    return bytes(Number(kibibytes) * 1024);
  };
  return { totalBytes: of("MemTotal"), availableBytes: of("MemAvailable") };
}

/** The first line of /proc/stat → thousandths of a second all processors together have worked. */
export function parseBusyMs(text: string, ticksPerSecond: number): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = text
    .slice(0, text.indexOf("\n"))
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return ((user + nice + system + irq + softirq) * 1000) / ticksPerSecond;
}

export type Transferred = { readonly inBytes: Bytes; readonly outBytes: Bytes };

/** /proc/net/dev → what came in and went out through one interface. */
export function parseInterface(text: string, name: string): Transferred | undefined {
  const line = text.split("\n").find((one) => one.trimStart().startsWith(`${name}:`));
  if (line === undefined) return undefined;
  const numbers = line
    .slice(line.indexOf(":") + 1)
    .trim()
    .split(/\s+/)
    .map(Number);
  return { inBytes: bytes(numbers[0] ?? 0), outBytes: bytes(numbers[8] ?? 0) };
}

const sectorBytes = 512;
/** Made of other disks, or of memory: what they move is counted there, or is no disk's. */
const notDisks = /^(loop|ram|zram|dm-|md|sr|fd)/;

export type DiskFacts = { readonly readBytes: Bytes; readonly writtenBytes: Bytes };

/** /proc/diskstats → all disks together; partitions are part of theirs. */
export function parseDisks(text: string): DiskFacts {
  let read = 0;
  let written = 0;
  let whole: string | undefined;
  for (const line of text.split("\n")) {
    const [, , name, , , sectorsRead, , , , sectorsWritten] = line.trim().split(/\s+/);
    if (name === undefined || notDisks.test(name)) continue;
    if (whole !== undefined && isPartition(name, whole)) continue;
    whole = name;
    read += Number(sectorsRead) * sectorBytes;
    written += Number(sectorsWritten) * sectorBytes;
  }
  return { readBytes: bytes(read), writtenBytes: bytes(written) };
}

/** A disk's partitions follow it: vda1 after vda, nvme0n1p1 after nvme0n1. */
function isPartition(name: string, disk: string): boolean {
  if (!name.startsWith(disk)) return false;
  const rest = name.slice(disk.length);
  return /\d$/.test(disk) ? /^p\d+$/.test(rest) : /^\d+$/.test(rest);
}
