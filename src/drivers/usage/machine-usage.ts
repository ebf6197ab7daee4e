import { bitsPerSecond, milliCpu } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { DiskFacts, MemoryFacts, Transferred } from "#drivers/usage/proc-files.ts";
import type { MachineUsage } from "#protocol/host-report.ts";

/** What was read at one moment of a monotonic clock. */
export type Look = MemoryFacts &
  DiskFacts & {
    readonly atMs: Millis;
    readonly processors: number;
    readonly load: readonly [number, number, number];
    readonly busyMs: number;
    readonly network?: Transferred;
  };

/** Rates are 0 after the first look, and where a counter began anew. */
export function machineUsage(before: Look | undefined, now: Look): MachineUsage {
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1000;
  const rate = (from: number | undefined, to: number): number =>
    from === undefined || seconds <= 0 ? 0 : Math.max(0, (to - from) / seconds);
  const { network, processors, load, readBytes, writtenBytes } = now;
  const bits = (from: Bytes | undefined, to: Bytes) => bitsPerSecond(Math.round(rate(from, to) * 8));
  return {
    processors,
    load,
    busyMilli: milliCpu(Math.round(rate(before?.busyMs, now.busyMs))),
    memoryTotalBytes: now.totalBytes,
    memoryAvailableBytes: now.availableBytes,
    readBytes,
    writtenBytes,
    readBytesPerSecond: Math.round(rate(before?.readBytes, readBytes)),
    writtenBytesPerSecond: Math.round(rate(before?.writtenBytes, writtenBytes)),
    ...(network === undefined
      ? {}
      : {
          ...network,
          inBps: bits(before?.network?.inBytes, network.inBytes),
          outBps: bits(before?.network?.outBytes, network.outBytes),
        }),
  };
}
