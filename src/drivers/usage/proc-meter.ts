import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { millis } from "#base/units.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import type { MachineMeter } from "#drivers/usage/port.ts";
import {
  parseBusyMs,
  parseDisks,
  parseInterface,
  parseLoad,
  parseMemory,
} from "#drivers/usage/proc-files.ts";
import type { MachineUsage } from "#protocol/host-report.ts";

/** Of Linux, as seen by programs, whatever the kernel's own clock does. */
const ticksPerSecond = 100;

/**
 * From /proc of the machine this process runs on. Hosts of a lab share one kernel: load, processors and disks are of
 * the machine they share, and only the uplink is their own. Read again only after `ageMs`.
 */
export function procMeter(options: {
  readonly uplink: string;
  readonly ageMs: Millis;
  readonly clock: Clock;
}): MachineMeter {
  const { uplink, ageMs, clock } = options;
  let last: { readonly at: Millis; readonly usage: MachineUsage | undefined } | undefined;
  return {
    read: () => {
      const at = clock.monotonic();
      if (last === undefined || at - last.at >= ageMs) last = { at, usage: measure(uplink) };
      return last.usage;
    },
  };
}

function measure(uplink: string): MachineUsage | undefined {
  try {
    const memory = parseMemory(readFileSync("/proc/meminfo", "utf8"));
    const network = parseInterface(readFileSync("/proc/net/dev", "utf8"), uplink);
    return {
      processors: availableParallelism(),
      load: parseLoad(readFileSync("/proc/loadavg", "utf8")),
      busyMs: millis(parseBusyMs(readFileSync("/proc/stat", "utf8"), ticksPerSecond)),
      memoryTotalBytes: memory.totalBytes,
      memoryAvailableBytes: memory.availableBytes,
      ...parseDisks(readFileSync("/proc/diskstats", "utf8")),
      ...network,
    };
  } catch {
    // A kernel that tells nothing of this keeps nobody from reporting the rest.
    return undefined;
  }
}
